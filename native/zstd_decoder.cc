#include "zstd_decoder.h"

#include <zstd_errors.h>

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "base/zstd_stream.h"
#include "promise_worker.h"

namespace stowage {

namespace {

using Bytes = std::vector<uint8_t>;

constexpr size_t kStep = 256u << 10;

}  // namespace

struct ZstdDecoder::State {
  ZstdStream stream;
  std::mutex mutex;

  Bytes Decode(const Bytes& piece) {
    std::lock_guard<std::mutex> lock(mutex);
    Bytes content;
    ZSTD_inBuffer in{piece.data(), piece.size(), 0};
    // If the output is full, the stream may hold more of it.
    for (bool full = false; in.pos < in.size || full;) {
      const size_t begin = content.size();
      content.resize(begin + kStep);
      ZSTD_outBuffer out{content.data(), content.size(), begin};
      const size_t result = stream.Decompress(&out, &in);
      if (ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation) throw std::bad_alloc();
      if (ZSTD_isError(result)) throw Error("ZSTD_ERROR", ZSTD_getErrorName(result));
      full = out.pos == content.size() && result != 0;
      content.resize(out.pos);
    }
    return content;
  }
};

void ZstdDecoder::Register(Napi::Env env, Napi::Object exports) {
  exports.Set("ZstdDecoder", DefineClass(env, "ZstdDecoder", {InstanceMethod<&ZstdDecoder::Decode>("decode")}));
}

ZstdDecoder::ZstdDecoder(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<ZstdDecoder>(info), state_(std::make_shared<State>()) {}

// decode(piece: Uint8Array): Promise<Buffer>, which is empty if the stream holds its output back.
Napi::Value ZstdDecoder::Decode(const Napi::CallbackInfo& info) {
  const auto bytes = info[0].As<Napi::Uint8Array>();
  return PromiseWorker<Bytes>::Run(
      info.Env(), "zstd:decode",
      [state = state_, piece = Bytes(bytes.Data(), bytes.Data() + bytes.ElementLength())] {
        return state->Decode(piece);
      },
      [](Napi::Env env, Bytes& content) -> Napi::Value {
        return Napi::Buffer<uint8_t>::Copy(env, content.data(), content.size());
      });
}

}  // namespace stowage
