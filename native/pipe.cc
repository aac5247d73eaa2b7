#include "pipe.h"

#include "promise_worker.h"
#include "wim/pipe.h"

namespace stowage {

namespace {

// openPipe(): { read: number, write: number }: file descriptors, both blocking. The caller closes them.
Napi::Value OpenPipe(const Napi::CallbackInfo& info) {
#ifdef _WIN32
  throw ToJavaScript(info.Env(), Error("UNSUPPORTED", "on Windows libwim writes to files, not to streams"));
#else
  try {
    const auto [read, write] = wim::MakePipe();
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("read", read);
    result.Set("write", write);
    return result;
  } catch (const Error& error) {
    throw ToJavaScript(info.Env(), error);
  }
#endif
}

}  // namespace

void RegisterPipe(Napi::Env env, Napi::Object exports) {
  exports.Set("openPipe", Napi::Function::New<OpenPipe>(env, "openPipe"));
}

}  // namespace stowage
