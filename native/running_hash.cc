#include "running_hash.h"

#include "promise_worker.h"

namespace stowage {

void RunningHash::Register(Napi::Env env, Napi::Object exports) {
  exports.Set("RunningHash", DefineClass(env, "RunningHash",
                                         {
                                             InstanceMethod<&RunningHash::Add>("add"),
                                             InstanceMethod<&RunningHash::End>("end"),
                                         }));
}

// new RunningHash()
RunningHash::RunningHash(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<RunningHash>(info), state_(std::make_shared<State>()) {}

// add(piece: Uint8Array): Promise<undefined>; the piece must not change, nor anything be called, until it resolves.
Napi::Value RunningHash::Add(const Napi::CallbackInfo& info) {
  RefuseIfBusy(info.Env());
  const auto piece = info[0].As<Napi::Uint8Array>();
  const uint8_t* data = piece.Data();
  const size_t size = piece.ByteLength();
  state_->busy = true;
  auto kept = std::make_shared<Napi::Reference<Napi::Uint8Array>>(Napi::Persistent(piece));
  return PromiseWorker<bool>::Run(
      info.Env(), "hash",
      [state = state_, data, size] {
        state->hash.Update(data, size);
        return true;
      },
      // Holds the piece; the worker, and with it this, is deleted on the JavaScript thread
      [state = state_, kept](Napi::Env env, bool&) -> Napi::Value {
        state->busy = false;
        return env.Undefined();
      });
}

// end(): string, in hexadecimal; the next content begins.
Napi::Value RunningHash::End(const Napi::CallbackInfo& info) {
  RefuseIfBusy(info.Env());
  return Napi::String::New(info.Env(), Hex(state_->hash.Finish()));
}

void RunningHash::RefuseIfBusy(Napi::Env env) const {
  if (state_->busy) throw Napi::Error::New(env, "a piece is still being hashed");
}

}  // namespace stowage
