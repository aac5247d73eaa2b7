// libFuzzer target: hostile gzip and zstd through LayerInput. What it reads without an error must be what zlib and
// libzstd read; a crash, a hang or a runaway allocation is a finding. test/fuzz/run.sh builds and runs it.
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <vector>

#include "base/error.h"
#include "layer/layer_input.h"

using namespace stowage;

namespace {

// Enough to reach every path; more only makes a round slow.
constexpr size_t kMost = 16u << 20;

// Undefined if it is an error, or too long. `part` is the size of what arrives at once.
std::optional<std::vector<uint8_t>> Ours(const uint8_t* data, size_t size, size_t part, Compression* as) {
  const auto queue = std::make_shared<ByteQueue>([] {});
  for (size_t at = 0; at < size; at += part) {
    queue->Push(std::vector<uint8_t>(data + at, data + std::min(size, at + part)));
  }
  queue->Finish();
  try {
    layer::LayerInput input(queue, "hostile");
    std::vector<uint8_t> bytes;
    const uint8_t* piece;
    while (const size_t length = input.Read(&piece)) {
      if (bytes.size() + length > kMost) return std::nullopt;
      bytes.insert(bytes.end(), piece, piece + length);
    }
    if (input.facts().size != size || input.facts().uncompressed_size != bytes.size()) __builtin_trap();
    *as = input.facts().compression;
    return bytes;
  } catch (const Error&) {
  } catch (const std::bad_alloc&) {
  }
  return std::nullopt;
}

std::vector<uint8_t> FromZlib(const uint8_t* data, size_t size, size_t expected) {
  std::vector<uint8_t> bytes(expected + 1);
  z_stream stream{};
  if (inflateInit2(&stream, 15 + 16) != Z_OK) __builtin_trap();
  stream.next_in = const_cast<uint8_t*>(data);
  stream.avail_in = static_cast<unsigned>(size);
  stream.next_out = bytes.data();
  stream.avail_out = static_cast<unsigned>(bytes.size());
  int status = Z_OK;
  while (stream.avail_out > 0 && (status = inflate(&stream, Z_NO_FLUSH)) == Z_STREAM_END && stream.avail_in > 0) {
    const uint8_t* rest = stream.next_in;
    if (std::all_of(rest, rest + stream.avail_in, [](uint8_t byte) { return byte == 0; })) break;  // padding
    inflateReset(&stream);
  }
  bytes.resize(bytes.size() - stream.avail_out);
  inflateEnd(&stream);
  if (status != Z_STREAM_END) __builtin_trap();
  return bytes;
}

std::vector<uint8_t> FromZstd(const uint8_t* data, size_t size, size_t expected) {
  std::vector<uint8_t> bytes(expected + 1);
  ZSTD_DCtx* context = ZSTD_createDCtx();
  ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, 27);
  ZSTD_inBuffer in{data, 0, 0};
  ZSTD_outBuffer out{bytes.data(), bytes.size(), 0};
  size_t left = 0;
  while (in.pos < size) {
    const size_t before = in.pos + out.pos;
    in.size = left == 0 ? in.pos + 1 : size;  // no frame in one piece, of which libzstd refuses more
    left = ZSTD_decompressStream(context, &out, &in);
    if (ZSTD_isError(left) || in.pos + out.pos == before) __builtin_trap();
  }
  ZSTD_freeDCtx(context);
  if (left != 0) __builtin_trap();
  bytes.resize(out.pos);
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Compression whole = Compression::kNone;
  Compression parts = Compression::kNone;
  const auto found = Ours(data, size, std::max<size_t>(size, 1), &whole);
  const auto again = Ours(data, size, 1 + size / 7 % 61, &parts);
  if (found != again || whole != parts) __builtin_trap();
  if (!found) return 0;
  if (whole == Compression::kGzip && *found != FromZlib(data, size, found->size())) __builtin_trap();
  if (whole == Compression::kZstd && *found != FromZstd(data, size, found->size())) __builtin_trap();
  if (whole == Compression::kNone && !std::equal(found->begin(), found->end(), data, data + size)) {
    __builtin_trap();
  }
  return 0;
}
