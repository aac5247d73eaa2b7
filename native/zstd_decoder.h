// ZstdDecoder: decompresses a Zstandard stream that JavaScript hands over piece by piece.
#ifndef STOWAGE_ZSTD_DECODER_H_
#define STOWAGE_ZSTD_DECODER_H_

#include <napi.h>

#include <memory>

namespace stowage {

class ZstdDecoder : public Napi::ObjectWrap<ZstdDecoder> {
 public:
  static void Register(Napi::Env env, Napi::Object exports);
  explicit ZstdDecoder(const Napi::CallbackInfo& info);

 private:
  struct State;

  Napi::Value Decode(const Napi::CallbackInfo& info);

  // Shared with the worker that decodes: it may still run after JavaScript has dropped this object.
  std::shared_ptr<State> state_;
};

}  // namespace stowage

#endif  // STOWAGE_ZSTD_DECODER_H_
