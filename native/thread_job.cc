#include "thread_job.h"

void ThreadEvents::Listen(Napi::Env env, Napi::Function callback, const char* name) {
  function_ = Napi::ThreadSafeFunction::New(env, callback, name, 0, 1);
}

void ThreadEvents::Release() { function_.Release(); }

void ThreadEvents::ReportReady() {
  Report([] {});
}

void ThreadEvents::ReportRoom() {
  Report([this] { room_ = true; });
}

void ThreadEvents::ReportFailure(wim::Error failure) {
  Report([&] { failure_ = std::move(failure); });
}

// With the mutex held.
void ThreadEvents::Call() {
  if (called_) return;
  called_ = true;
  auto self = shared_from_this();
  // Closing: the environment ends, and nobody is left to tell.
  function_.NonBlockingCall([self](Napi::Env env, Napi::Function callback) { self->Deliver(env, callback); });
}

void ThreadEvents::Deliver(Napi::Env env, Napi::Function callback) {
  if (static_cast<napi_env>(env) == nullptr || callback.IsEmpty()) return;
  Napi::Object event = Napi::Object::New(env);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    called_ = false;
    event.Set("room", std::exchange(room_, false));
    if (failure_) event.Set("error", ToJavaScript(env, *failure_).Value());
    Tell(event);
  }
  callback.Call({event});
}
