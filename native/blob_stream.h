// BlobStream: the contents of blobs, pulled by JavaScript piece by piece.
#ifndef STOWAGE_BLOB_STREAM_H_
#define STOWAGE_BLOB_STREAM_H_

#include <napi.h>

#include <memory>

namespace stowage {

class BlobStream : public Napi::ObjectWrap<BlobStream> {
 public:
  static void Register(Napi::Env env, Napi::Object exports);
  explicit BlobStream(const Napi::CallbackInfo& info);

 private:
  struct State;

  Napi::Value Next(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  // Shared with the worker that reads: it may still run after JavaScript has dropped this object.
  std::shared_ptr<State> state_;
};

}  // namespace stowage

#endif  // STOWAGE_BLOB_STREAM_H_
