#include "mount.h"

#include "convert.h"
#include "promise_worker.h"
#include "wim/mount.h"

namespace {

// mountImage(request: object): on this thread, see wim/mount.h
Napi::Value MountImage(const Napi::CallbackInfo& info) {
  const wim::Object request = ObjectFromJavaScript(info[0].As<Napi::Object>());
  try {
    wim::MountImage(request);
  } catch (...) {
    throw ToJavaScript(info.Env(), CurrentError());
  }
  return info.Env().Undefined();
}

}  // namespace

void RegisterMount(Napi::Env env, Napi::Object exports) {
  exports.Set("mountImage", Napi::Function::New<MountImage>(env, "mountImage"));
}
