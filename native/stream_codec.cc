#include "stream_codec.h"

#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/xz_stream.h"
#include "base/zstd_stream.h"
#include "layer/gzip.h"
#include "promise_worker.h"

namespace stowage {

namespace {

using Bytes = std::vector<uint8_t>;

// The most that one call returns: a few bytes can stand for gigabytes.
constexpr size_t kMost = 1u << 20;
// Zstandard's own default, also of the zstd command
constexpr int kZstdLevel = 3;
// gzip's
constexpr int kGzipLevel = 6;
// What one gzip member has of the content, as in layers
constexpr size_t kGzipBlock = 1u << 20;

unsigned Threads() { return std::max(1u, std::thread::hardware_concurrency()); }

size_t CheckZstd(size_t result) {
  if (ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation) throw std::bad_alloc();
  if (ZSTD_isError(result)) throw Error("ZSTD_ERROR", ZSTD_getErrorName(result));
  return result;
}

// One direction of one format.
class Codec {
 public:
  virtual ~Codec() = default;
  // Takes bytes from `in`, and writes at most `size` bytes to `out`; returns their number. With `end`, no input
  // follows. Sets `more` if there is more to write without further input.
  virtual size_t Process(ZSTD_inBuffer& in, bool end, uint8_t* out, size_t size, bool& more) = 0;
};

class ZstdDecompressor : public Codec {
 public:
  size_t Process(ZSTD_inBuffer& in, bool /*end*/, uint8_t* out, size_t size, bool& more) override {
    ZSTD_outBuffer content{out, size, 0};
    const size_t result = CheckZstd(stream_.Decompress(&content, &in));
    // If the output is full, the stream may hold more of it.
    more = in.pos < in.size || (content.pos == size && result != 0);
    return content.pos;
  }

 private:
  ZstdStream stream_;
};

class ZstdCompressor : public Codec {
 public:
  ZstdCompressor() : context_(ZSTD_createCCtx()) {
    if (!context_) throw std::bad_alloc();
    CheckZstd(ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, kZstdLevel));
    CheckZstd(ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_checksumFlag, 1));
  }

  size_t Process(ZSTD_inBuffer& in, bool end, uint8_t* out, size_t size, bool& more) override {
    ZSTD_outBuffer compressed{out, size, 0};
    const ZSTD_EndDirective directive = end ? ZSTD_e_end : ZSTD_e_continue;
    const size_t left = CheckZstd(ZSTD_compressStream2(context_.get(), &compressed, &in, directive));
    more = end ? left != 0 : in.pos < in.size;
    return compressed.pos;
  }

 private:
  struct Deleter {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };

  std::unique_ptr<ZSTD_CCtx, Deleter> context_;
};

class GzipCompressor : public Codec {
 public:
  size_t Process(ZSTD_inBuffer& in, bool end, uint8_t* out, size_t size, bool& more) override {
    if (written_ == member_.size()) Fill(in, end);
    const size_t count = std::min(size, member_.size() - written_);
    std::copy_n(member_.begin() + static_cast<std::ptrdiff_t>(written_), count, out);
    written_ += count;
    more = written_ < member_.size() || in.pos < in.size || (end && !block_.empty());
    return count;
  }

 private:
  // Compresses the next block once all of it is there, or the last.
  void Fill(ZSTD_inBuffer& in, bool end) {
    const auto* const at = static_cast<const uint8_t*>(in.src) + in.pos;
    const size_t count = std::min(kGzipBlock - block_.size(), in.size - in.pos);
    block_.insert(block_.end(), at, at + count);
    in.pos += count;
    const bool last = end && in.pos == in.size && (!block_.empty() || !begun_);
    member_.clear();
    written_ = 0;
    if (block_.size() < kGzipBlock && !last) return;
    member_ = gzip_.Member(block_.data(), block_.size(), kGzipLevel);
    begun_ = true;
    block_.clear();
  }

  layer::Gzip gzip_;
  Bytes block_;
  // Bytes of `member_` up to `written_` are written.
  Bytes member_;
  size_t written_ = 0;
  bool begun_ = false;
};

class XzCodec : public Codec {
 public:
  explicit XzCodec(XzStream::Mode mode) : stream_(mode, Threads()) {}

  size_t Process(ZSTD_inBuffer& in, bool end, uint8_t* out, size_t size, bool& more) override {
    lzma_stream& buffers = stream_.buffers();
    buffers.next_in = static_cast<const uint8_t*>(in.src) + in.pos;
    buffers.avail_in = in.size - in.pos;
    buffers.next_out = out;
    buffers.avail_out = size;
    const bool ended = stream_.Code(end);
    in.pos = in.size - buffers.avail_in;
    more = !ended && (end || in.pos < in.size || buffers.avail_out == 0);
    return size - buffers.avail_out;
  }

 private:
  XzStream stream_;
};

std::unique_ptr<Codec> MakeCodec(const std::string& format, bool compress) {
  if (format == "xz")
    return std::make_unique<XzCodec>(compress ? XzStream::Mode::kCompress : XzStream::Mode::kDecompress);
  if (format == "gzip") return std::make_unique<GzipCompressor>();
  if (compress) return std::make_unique<ZstdCompressor>();
  return std::make_unique<ZstdDecompressor>();
}

}  // namespace

struct StreamCodec::State {
  std::unique_ptr<Codec> codec;
  std::mutex mutex;
  // Bytes of `piece` from `position` on are still to be processed.
  Bytes piece;
  size_t position = 0;
  std::atomic<bool> more = false;

  Bytes Process(const Bytes& next, bool end) {
    std::lock_guard<std::mutex> lock(mutex);
    piece.erase(piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(position));
    position = 0;
    piece.insert(piece.end(), next.begin(), next.end());
    ZSTD_inBuffer in{piece.data(), piece.size(), 0};
    Bytes content(kMost);
    size_t size = 0;
    bool again = true;
    while (again && size < kMost) size += codec->Process(in, end, content.data() + size, kMost - size, again);
    position = in.pos;
    more = again;
    content.resize(size);
    return content;
  }
};

void StreamCodec::Register(Napi::Env env, Napi::Object exports) {
  exports.Set("StreamCodec", DefineClass(env, "StreamCodec",
                                         {InstanceMethod<&StreamCodec::Process>("process"),
                                          InstanceMethod<&StreamCodec::More>("more")}));
}

// new StreamCodec(format: "gzip" | "zstd" | "xz", compress: boolean); gzip is only compressed
StreamCodec::StreamCodec(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<StreamCodec>(info), state_(std::make_shared<State>()) {
  try {
    state_->codec = MakeCodec(info[0].As<Napi::String>(), info[1].As<Napi::Boolean>());
  } catch (...) {
    throw ToJavaScript(info.Env(), CurrentError());
  }
}

// process(piece: Uint8Array, end: boolean): Promise<Buffer> of at most 1 MiB, empty if the stream holds its output
// back.
Napi::Value StreamCodec::Process(const Napi::CallbackInfo& info) {
  const auto bytes = info[0].As<Napi::Uint8Array>();
  const bool end = info[1].As<Napi::Boolean>();
  return PromiseWorker<Bytes>::Run(
      info.Env(), "codec:process",
      [state = state_, end, piece = Bytes(bytes.Data(), bytes.Data() + bytes.ElementLength())] {
        return state->Process(piece, end);
      },
      [](Napi::Env env, Bytes& content) -> Napi::Value {
        return Napi::Buffer<uint8_t>::Copy(env, content.data(), content.size());
      });
}

// more(): boolean: whether process() has more to return without another piece.
Napi::Value StreamCodec::More(const Napi::CallbackInfo& info) { return Napi::Boolean::New(info.Env(), state_->more); }

}  // namespace stowage
