// Tries the lengths of prefix codes against what the definition demands: test/wim/compress.test.ts builds and runs it.
// Prints how many codes were tried, and how many had to be limited.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <queue>
#include <vector>

#include "codecs/code_lengths.h"

using namespace stowage::codecs;

namespace {

using Frequencies = std::vector<uint32_t>;

void Expect(bool held, const char* what) {
  if (held) return;
  std::printf("not held: %s\n", what);
  std::exit(1);
}

// Bits that the shortest code takes, without a limit: the sum of all inner nodes of Huffman's tree.
uint64_t ShortestBits(const Frequencies& frequencies) {
  std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<uint64_t>> nodes;
  for (const uint32_t frequency : frequencies) {
    if (frequency != 0) nodes.push(frequency);
  }
  uint64_t bits = 0;
  while (nodes.size() > 1) {
    const uint64_t one = nodes.top();
    nodes.pop();
    const uint64_t both = one + nodes.top();
    nodes.pop();
    nodes.push(both);
    bits += both;
  }
  return bits;
}

// Whether the code had to be limited: it takes more bits than the shortest.
bool Try(const Frequencies& frequencies, unsigned most) {
  std::vector<uint8_t> lengths(frequencies.size(), 77);
  std::vector<uint16_t> codes(frequencies.size());
  MakeLengths(frequencies.data(), frequencies.size(), most, lengths.data());
  MakeCodes(lengths.data(), lengths.size(), codes.data());
  uint64_t bits = 0, room = 0;
  unsigned longest = 0;
  for (size_t n = 0; n < frequencies.size(); n++) {
    Expect((lengths[n] == 0) == (frequencies[n] == 0), "a symbol that occurs has a code, another none");
    if (lengths[n] == 0) continue;
    Expect(lengths[n] <= most, "no code is longer than the limit");
    if (lengths[n] > longest) longest = lengths[n];
    bits += uint64_t{lengths[n]} * frequencies[n];
    room += uint64_t{1} << (most - lengths[n]);
    for (size_t other = 0; other < n; other++) {
      if (lengths[other] == 0) continue;
      Expect(frequencies[other] >= frequencies[n] || lengths[other] >= lengths[n],
             "what occurs more often is no longer");
      const unsigned common = std::min(lengths[other], lengths[n]);
      Expect(codes[other] >> (lengths[other] - common) != codes[n] >> (lengths[n] - common), "no code begins another");
    }
  }
  Expect(room == uint64_t{1} << most, "the code is complete");
  const uint64_t shortest = ShortestBits(frequencies);
  Expect(bits >= shortest, "nothing is shorter than the shortest");
  Expect(bits == shortest || longest == most, "without need for a limit the code is the shortest");
  return bits != shortest;
}

}  // namespace

int main() {
  int tried = 0, limited = 0;
  const auto count = [&](const Frequencies& frequencies, unsigned most) {
    tried++;
    if (Try(frequencies, most)) limited++;
  };
  Frequencies fibonacci{1, 1};
  while (fibonacci.size() < 30) fibonacci.push_back(fibonacci.end()[-1] + fibonacci.end()[-2]);
  for (size_t size = 2; size <= 30; size++) {
    count({fibonacci.begin(), fibonacci.begin() + static_cast<std::ptrdiff_t>(size)}, 15);
    count({fibonacci.rend() - static_cast<std::ptrdiff_t>(size), fibonacci.rend()}, 15);
    Frequencies powers;
    for (size_t n = 0; n < size; n++) powers.push_back(1u << n);
    count(powers, 15);
    count(powers, 16);
  }
  count(Frequencies(512, 1), 15);
  count(Frequencies(512, 1), 9);
  count({0, 1, 0, 65535}, 15);
  uint32_t state = 1;
  const auto random = [&state](uint32_t below) {
    state = state * 1664525 + 1013904223;
    return static_cast<uint32_t>(uint64_t{state} * below >> 32);
  };
  for (int n = 0; n < 3000; n++) {
    Frequencies frequencies(2 + random(n % 10 == 0 ? 511 : 40));
    for (uint32_t& frequency : frequencies) frequency = random(3) == 0 ? 0 : 1 + (random(60000) >> random(17));
    frequencies.front() = frequencies.back() = 1;
    count(frequencies, frequencies.size() <= 40 && n % 3 == 0 ? 6 : 15);
  }
  std::printf("%d %d\n", tried, limited);
  return 0;
}
