// libFuzzer target: hostile DEFLATE through Inflate, at once and in parts. It must take what zlib takes, give the same
// bytes, and end at the same byte. test/fuzz/run.sh builds and runs it.
#include "base/inflate.h"

#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <vector>

using namespace stowage;

namespace {

// Enough to reach every path; more only makes a round slow.
constexpr size_t kMost = 256u << 10;
// Small, so that blocks fill up.
constexpr size_t kBlock = 40000;

struct Decompressed {
  std::vector<uint8_t> bytes;
  // How much of the input it was.
  size_t used = 0;

  bool operator!=(const Decompressed& other) const { return bytes != other.bytes || used != other.used; }
};

// Undefined if it is wrong, not whole, or too long. `part` is the size of what arrives at once.
std::optional<Decompressed> Ours(const uint8_t* data, size_t size, size_t part) {
  Inflate inflate(kBlock);
  Decompressed found;
  Block block;
  std::vector<uint8_t> held;
  try {
    for (size_t at = 0; at < size;) {
      const size_t more = std::min(part, size - at);
      // A vector of its own, so that a step over either end is seen
      std::vector<uint8_t> input(held);
      input.insert(input.end(), data + at, data + at + more);
      input.shrink_to_fit();
      at += more;
      const uint8_t* in = input.data();
      const uint8_t* const end = in + input.size();
      for (Inflate::Status status = Inflate::Status::kOutput; status == Inflate::Status::kOutput;) {
        status = inflate.Run(&in, end);
        if (in < input.data() || in > end) __builtin_trap();
        if (status == Inflate::Status::kInput) break;
        inflate.Take(&block);
        found.bytes.insert(found.bytes.end(), block.data(), block.data() + block.size());
        if (found.bytes.size() > kMost) return std::nullopt;
        if (status != Inflate::Status::kEnd) continue;
        found.used = at - static_cast<size_t>(end - in);
        return found;
      }
      held.assign(in, end);
      if (held.size() > Inflate::kLeft) __builtin_trap();
    }
  } catch (const std::runtime_error&) {
  }
  return std::nullopt;
}

std::optional<Decompressed> Theirs(const uint8_t* data, size_t size) {
  Decompressed found;
  found.bytes.resize(kMost + kBlock + 512);
  z_stream stream{};
  if (inflateInit2(&stream, -15) != Z_OK) __builtin_trap();
  stream.next_in = const_cast<uint8_t*>(data);
  stream.avail_in = static_cast<unsigned>(size);
  stream.next_out = found.bytes.data();
  stream.avail_out = static_cast<unsigned>(found.bytes.size());
  const int status = inflate(&stream, Z_FINISH);
  found.bytes.resize(found.bytes.size() - stream.avail_out);
  found.used = size - stream.avail_in;
  inflateEnd(&stream);
  if (status != Z_STREAM_END || found.bytes.size() > kMost) return std::nullopt;
  return found;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto theirs = Theirs(data, size);
  for (const size_t part : {std::max<size_t>(size, 1), 1 + size / 7 % 61}) {
    const auto ours = Ours(data, size, part);
    if (ours.has_value() != theirs.has_value()) __builtin_trap();
    if (ours && *ours != *theirs) __builtin_trap();
  }
  return 0;
}
