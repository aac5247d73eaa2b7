// RunningHash: SHA-256 of pieces that come one by one, each on a thread of the pool while JavaScript makes the next.
#ifndef STOWAGE_RUNNING_HASH_H_
#define STOWAGE_RUNNING_HASH_H_

#include <napi.h>

#include <memory>

#include "base/hash.h"

namespace stowage {

class RunningHash : public Napi::ObjectWrap<RunningHash> {
 public:
  static void Register(Napi::Env env, Napi::Object exports);
  explicit RunningHash(const Napi::CallbackInfo& info);

 private:
  struct State {
    Sha256 hash;
    bool busy = false;  // only read and written on the JavaScript thread
  };

  Napi::Value Add(const Napi::CallbackInfo& info);
  Napi::Value End(const Napi::CallbackInfo& info);
  void RefuseIfBusy(Napi::Env env) const;

  // Shared with the work on the pool: it may still run after JavaScript has dropped this object.
  std::shared_ptr<State> state_;
};

}  // namespace stowage

#endif  // STOWAGE_RUNNING_HASH_H_
