// StreamCodec: compresses or decompresses a Zstandard or xz stream that JavaScript passes piece by piece.
#ifndef STOWAGE_STREAM_CODEC_H_
#define STOWAGE_STREAM_CODEC_H_

#include <napi.h>

#include <memory>

namespace stowage {

class StreamCodec : public Napi::ObjectWrap<StreamCodec> {
 public:
  static void Register(Napi::Env env, Napi::Object exports);
  explicit StreamCodec(const Napi::CallbackInfo& info);

 private:
  struct State;

  Napi::Value Process(const Napi::CallbackInfo& info);
  Napi::Value More(const Napi::CallbackInfo& info);

  // Shared with the worker that processes a piece: it may still run after JavaScript has dropped this object.
  std::shared_ptr<State> state_;
};

}  // namespace stowage

#endif  // STOWAGE_STREAM_CODEC_H_
