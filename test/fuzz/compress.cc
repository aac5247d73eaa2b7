// libFuzzer target: chunks through our compressor of XPRESS, and back through our decompressor and libwim's. Both must
// give the chunk again. test/fuzz/run.sh builds and runs it.
#include <wimlib.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "codecs/codec.h"
#include "codecs/xpress_compressor.h"

using namespace stowage;

namespace {

using Bytes = std::vector<uint8_t>;

constexpr size_t kMost = codecs::XpressCompressor::kLargestChunk;

// As inputs begin: the level, how often the rest comes in a row, and what each time adds to its bytes.
struct Request {
  unsigned level;
  size_t times;
  unsigned step;
};
constexpr size_t kHead = 3;

Bytes ChunkOf(const Request& request, const uint8_t* data, size_t size) {
  Bytes chunk;
  for (size_t time = 0; time < request.times && chunk.size() + size <= kMost; time++) {
    for (size_t n = 0; n < size; n++) chunk.push_back(static_cast<uint8_t>(data[n] + time * request.step));
  }
  return chunk;
}

codecs::XpressCompressor& CompressorOf(unsigned level) {
  static std::map<unsigned, std::unique_ptr<codecs::XpressCompressor>> made;
  auto& compressor = made[level];
  if (!compressor) compressor = std::make_unique<codecs::XpressCompressor>(level);
  return *compressor;
}

bool Theirs(const Bytes& from, Bytes* to) {
  static wimlib_decompressor* const decompressor = [] {
    wimlib_decompressor* one = nullptr;
    if (wimlib_create_decompressor(WIMLIB_COMPRESSION_TYPE_XPRESS, kMost, &one) != 0) __builtin_trap();
    return one;
  }();
  return wimlib_decompress(from.data(), from.size(), to->data(), to->size(), decompressor) == 0;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size <= kHead) return -1;
  const Request request{data[0] % 8u * 15u, 1u + data[1], data[2]};
  const Bytes chunk = ChunkOf(request, data + kHead, size - kHead);
  if (chunk.empty()) return -1;
  codecs::XpressCompressor& compressor = CompressorOf(request.level);
  // Vectors of their own, so that a step over any end is seen. With room for all of it, every chunk has a form
  Bytes large(chunk.size() + chunk.size() / 4 + 1024);
  const size_t compressed = compressor.Compress(chunk.data(), chunk.size(), large.data(), large.size());
  if (compressed == 0) __builtin_trap();
  Bytes exact(compressed), less(compressed - 1);
  if (compressor.Compress(chunk.data(), chunk.size(), exact.data(), exact.size()) != compressed) __builtin_trap();
  if (compressor.Compress(chunk.data(), chunk.size(), less.data(), less.size()) != 0) __builtin_trap();
  if (!std::equal(exact.begin(), exact.end(), large.begin())) __builtin_trap();
  static const auto decompressor = codecs::Make(codecs::kXpress, kMost);
  Bytes ours(chunk.size(), 1), theirs(chunk.size(), 2);
  if (!decompressor->Decompress(exact.data(), exact.size(), ours.data(), ours.size()) || ours != chunk)
    __builtin_trap();
  if (!Theirs(exact, &theirs) || theirs != chunk) __builtin_trap();
  return 0;
}
