#include "thread_job.h"

namespace stowage {

void ThreadEvents::ReportReady() {
  Report([] {});
}

void ThreadEvents::ReportRoom() {
  Report([this] { room_ = true; });
}

void ThreadEvents::Deliver(Napi::Env env, Napi::Function callback, std::unique_lock<std::mutex> lock) {
  Napi::Object event = Napi::Object::New(env);
  event.Set("room", std::exchange(room_, false));
  if (failure_) event.Set("error", ToJavaScript(env, *failure_).Value());
  Describe(event);
  lock.unlock();
  callback.Call({event});
}

}  // namespace stowage
