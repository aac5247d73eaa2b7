#include "code_lengths.h"

#include <algorithm>

#include "prefix_code.h"

namespace stowage::codecs {

namespace {

constexpr unsigned kSymbolBits = 10;
static_assert(kMostSymbols <= size_t{1} << kSymbolBits, "a symbol has room beside its frequency");

// The symbols that occur, the rarest first, then the smallest. Each is the frequency, and the symbol in the low bits.
size_t Sort(const uint32_t* frequencies, size_t symbols, uint64_t* sorted) {
  size_t count = 0;
  for (size_t n = 0; n < symbols; n++) {
    if (frequencies[n] != 0) sorted[count++] = uint64_t{frequencies[n]} << kSymbolBits | n;
  }
  std::sort(sorted, sorted + count);  // no two are equal
  return count;
}

// How many codes of each length the shortest code has. The weights of the leaves come in ascending order; inner nodes
// are made in that order too, so that the two lightest are always at the front of one of the two queues.
void CountLengths(const uint64_t* sorted, size_t count, unsigned* with_length) {
  uint32_t weight[kMostSymbols] = {};
  uint16_t parent[kMostSymbols] = {};  // of inner nodes; later their depth
  size_t leaf = 0, inner = 0;
  const size_t nodes = count - 1;
  uint16_t leaves_below[kMostSymbols];  // directly
  for (size_t node = 0; node < nodes; node++) {
    weight[node] = 0;
    leaves_below[node] = 0;
    for (int side = 0; side < 2; side++) {
      if (leaf < count && (inner == node || sorted[leaf] >> kSymbolBits <= weight[inner])) {
        weight[node] += static_cast<uint32_t>(sorted[leaf++] >> kSymbolBits);
        leaves_below[node]++;
      } else {
        weight[node] += weight[inner];
        parent[inner++] = static_cast<uint16_t>(node);
      }
    }
  }
  parent[nodes - 1] = 0;
  for (size_t node = nodes; node-- > 0;) {
    const unsigned depth = node == nodes - 1 ? 0 : parent[parent[node]] + 1u;
    parent[node] = static_cast<uint16_t>(depth);
    with_length[depth + 1] += leaves_below[node];
  }
}

// What is too long is cut to `most`, and room is made for it: a shorter code becomes two that are one bit longer.
void Limit(unsigned* with_length, size_t longest, unsigned most) {
  uint64_t used = 0;
  for (size_t length = most + 1; length <= longest; length++) with_length[most] += with_length[length];
  for (unsigned length = 1; length <= most; length++) used += uint64_t{with_length[length]} << (most - length);
  for (; used > uint64_t{1} << most; used--) {
    unsigned length = most - 1;
    while (with_length[length] == 0) length--;
    with_length[length]--;
    with_length[length + 1] += 2;
    with_length[most]--;
  }
}

}  // namespace

void MakeLengths(const uint32_t* frequencies, size_t symbols, unsigned most, uint8_t* lengths) {
  uint64_t sorted[kMostSymbols];
  const size_t count = Sort(frequencies, symbols, sorted);
  std::fill_n(lengths, symbols, uint8_t{0});
  if (count < 2) return;
  unsigned with_length[kMostSymbols + 1] = {};
  CountLengths(sorted, count, with_length);
  Limit(with_length, count, most);
  size_t at = 0;
  for (unsigned length = most; length > 0; length--) {
    for (unsigned n = 0; n < with_length[length]; n++) {
      lengths[sorted[at++] & ((size_t{1} << kSymbolBits) - 1)] = static_cast<uint8_t>(length);
    }
  }
}

void MakeCodes(const uint8_t* lengths, size_t symbols, uint16_t* codes) {
  unsigned with_length[kMostBits + 1] = {};
  for (size_t n = 0; n < symbols; n++) with_length[lengths[n]]++;
  unsigned next[kMostBits + 1] = {};
  for (unsigned length = 2; length <= kMostBits; length++) {
    next[length] = (next[length - 1] + with_length[length - 1]) << 1;
  }
  for (size_t n = 0; n < symbols; n++) codes[n] = static_cast<uint16_t>(lengths[n] == 0 ? 0 : next[lengths[n]]++);
}

}  // namespace stowage::codecs
