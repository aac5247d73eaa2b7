#include "mount.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "convert.h"
#include "promise_worker.h"
#include "wim/mount.h"
#include "wim/text.h"

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

// libwim tells from a thread of its own, so JavaScript hears of it by a queue.
class Teller : public wim::Observer {
 public:
  explicit Teller(Napi::Function callback)
      : function_(Napi::ThreadSafeFunction::New(callback.Env(), callback, "wim:unmount", 0, 1)) {}
  ~Teller() override { function_.Release(); }

  void Tell(wim::Object event, bool) override {
    function_.NonBlockingCall([told = wim::Value(std::move(event))](Napi::Env env, Napi::Function callback) {
      callback.Call({ToJavaScript(env, told)});
    });
  }
  std::optional<wim::Value> Ask(wim::Object) override { return std::nullopt; }

 private:
  Napi::ThreadSafeFunction function_;
};

// unmountImage(directory: string, flags: number, callback: (event: object) => void): Promise<void>
Napi::Value UnmountImage(const Napi::CallbackInfo& info) {
  const std::string directory = wim::Wtf8FromUtf16(info[0].As<Napi::String>().Utf16Value());
  const int flags = info[1].As<Napi::Number>();
  return PromiseWorker<bool>::Run(
      info.Env(), "wim:unmount",
      [directory, flags, teller = std::make_shared<Teller>(info[2].As<Napi::Function>())] {
        wim::UnmountImage(directory, flags, *teller);
        return true;
      },
      [](Napi::Env env, bool&) { return env.Undefined(); });
}

}  // namespace

void RegisterMount(Napi::Env env, Napi::Object exports) {
  exports.Set("mountImage", Napi::Function::New<MountImage>(env, "mountImage"));
  exports.Set("unmountImage", Napi::Function::New<UnmountImage>(env, "unmountImage"));
}
