// libFuzzer target: hostile chunks through our decompressors and libwim's. Both must refuse a chunk, or both give the
// same bytes. test/fuzz/run.sh builds and runs it.
#include <wimlib.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "codecs/codec.h"

using namespace stowage;

namespace {

using Bytes = std::vector<uint8_t>;

// Enough to reach every path; more only makes a round slow.
constexpr uint32_t kMost = 64u << 10;

// As inputs begin: the compression, the power of two that the chunk size is of, and the size that the chunk should
// have.
struct Request {
  int type;
  uint32_t chunk_size;
  uint32_t size;
};
constexpr size_t kHead = 4;

Request From(const uint8_t* head) {
  Request request;
  request.type = codecs::kXpress + head[0] % 3;
  const unsigned least = request.type == codecs::kXpress ? 12 : 15;
  const unsigned most = request.type == codecs::kXpress ? 16 : 21;
  request.chunk_size = 1u << (least + head[1] % (most - least + 1));
  request.size = std::min({1u + head[2] + head[3] * 256u, kMost, request.chunk_size});
  return request;
}

bool Ours(const Request& request, const Bytes& from, Bytes* to) {
  static std::map<std::pair<int, uint32_t>, std::unique_ptr<codecs::Codec>> made;
  auto& codec = made[{request.type, request.chunk_size}];
  if (!codec) codec = codecs::Make(request.type, request.chunk_size);
  if (!codec) __builtin_trap();
  return codec->Decompress(from.data(), from.size(), to->data(), to->size());
}

struct Deleter {
  void operator()(wimlib_decompressor* decompressor) const { wimlib_free_decompressor(decompressor); }
};

bool Theirs(const Request& request, const Bytes& from, Bytes* to) {
  static std::map<std::pair<int, uint32_t>, std::unique_ptr<wimlib_decompressor, Deleter>> made;
  auto& decompressor = made[{request.type, request.chunk_size}];
  if (!decompressor) {
    wimlib_decompressor* one = nullptr;
    const auto type = static_cast<wimlib_compression_type>(request.type);
    if (wimlib_create_decompressor(type, request.chunk_size, &one) != 0) __builtin_trap();
    decompressor.reset(one);
  }
  return wimlib_decompress(from.data(), from.size(), to->data(), to->size(), decompressor.get()) == 0;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < kHead) return -1;
  const Request request = From(data);
  // Vectors of their own, so that a step over any end is seen
  const Bytes from(data + kHead, data + size);
  Bytes ours(request.size, 1), theirs(request.size, 2);
  const bool taken = Ours(request, from, &ours);
  // libwim reads outside its memory here. No WIM has such a chunk: it takes at least four bytes
  if (request.type == codecs::kLzms && request.size < 3) return 0;
  if (taken != Theirs(request, from, &theirs)) __builtin_trap();
  if (taken && ours != theirs) __builtin_trap();
  return 0;
}
