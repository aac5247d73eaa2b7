#include "mount.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "convert.h"
#include "promise_worker.h"
#include "reporting_thread.h"
#include "wim/mount.h"
#include "wim/text.h"

namespace stowage {

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

// libwim reports what it unmounts, and cannot be stopped before it is done.
class Unmounting : public wim::Observer, public ReportingThread {
 public:
  explicit Unmounting(Napi::Env env) : deferred_(Napi::Promise::Deferred::New(env)) {}

  Napi::Promise Begin(Napi::Function callback, std::string directory, int flags) {
    // The thread owns this object while it runs the task.
    Start(callback.Env(), callback, "wim:unmount",
          {[this, directory = std::move(directory), flags] { wim::UnmountImage(directory, flags, *this); },
           [this] { Cancel(); }, std::nullopt});
    return deferred_.Promise();
  }

  void Report(wim::Object event) override {
    ReportingThread::Report([&] { events_.emplace_back(std::move(event)); });
  }
  void ReportCount(const std::string&, wim::Object event) override { Report(std::move(event)); }
  std::optional<wim::Value> Ask(wim::Object) override { return std::nullopt; }

 private:
  void Deliver(Napi::Env env, Napi::Function callback, std::unique_lock<std::mutex> lock) override {
    const std::vector<wim::Value> events = std::exchange(events_, {});
    const bool ended = ended_;
    lock.unlock();
    for (const wim::Value& event : events) callback.Call({ToJavaScript(env, event)});
    if (!ended) return;
    if (failure_) {
      deferred_.Reject(ToJavaScript(env, *failure_).Value());
    } else {
      deferred_.Resolve(env.Undefined());
    }
  }

  Napi::Promise::Deferred deferred_;
  std::vector<wim::Value> events_;
};

// unmountImage(directory: string, flags: number, callback: (event: object) => void): Promise<void>
Napi::Value UnmountImage(const Napi::CallbackInfo& info) {
  std::string directory = wim::Wtf8FromUtf16(info[0].As<Napi::String>().Utf16Value());
  const int flags = info[1].As<Napi::Number>();
  return std::make_shared<Unmounting>(info.Env())->Begin(info[2].As<Napi::Function>(), std::move(directory), flags);
}

}  // namespace

void RegisterMount(Napi::Env env, Napi::Object exports) {
  exports.Set("mountImage", Napi::Function::New<MountImage>(env, "mountImage"));
  exports.Set("unmountImage", Napi::Function::New<UnmountImage>(env, "unmountImage"));
}

}  // namespace stowage
