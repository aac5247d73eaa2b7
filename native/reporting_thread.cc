#include "reporting_thread.h"

#include <exception>
#include <string>
#include <utility>

#include "promise_worker.h"

namespace stowage {

void ReportingThread::Start(Napi::Env env, Napi::Function callback, const char* name, Task task) {
  function_ = Napi::ThreadSafeFunction::New(env, callback, name, 0, 1);
  try {
    thread_ =
        std::thread([self = shared_from_this(), run = std::move(task.run)]() mutable { self->Run(std::move(run)); });
  } catch (const std::exception& error) {
    function_.Release();
    throw ToJavaScript(env, Error("WIM_ERROR", std::string("cannot start a thread: ") + error.what()));
  }
  env_ = env;
  cancel_ = std::move(task.cancel);
  exit_grace_ = task.exit_grace;
  // Hooks run last in, first out: the thread ends before Node takes away the function that it calls.
  hook_ = new Hook(shared_from_this());
  napi_add_env_cleanup_hook(env, StopAtExit, hook_);
}

void ReportingThread::Run(std::function<void()> run) {
  std::optional<Error> failure;
  try {
    run();
  } catch (...) {
    failure = CurrentError();
  }
  // Before the end is reported: the listener may hold the last reference to what the task used, and closes it.
  run = nullptr;
  std::lock_guard<std::mutex> lock(mutex_);
  failure_ = std::move(failure);
  ended_ = true;
  changed_.notify_all();
  Call();
  if (!abandoned_) function_.Release();
}

void ReportingThread::Call() {
  if (called_ || abandoned_) return;
  called_ = true;
  // Fails if the environment is closing, when nothing needs to be reported.
  function_.NonBlockingCall(
      [self = shared_from_this()](Napi::Env env, Napi::Function callback) { self->Receive(env, callback); });
}

void ReportingThread::Receive(Napi::Env env, Napi::Function callback) {
  if (static_cast<napi_env>(env) == nullptr || callback.IsEmpty()) return;
  std::unique_lock<std::mutex> lock(mutex_);
  called_ = false;
  if (ended_) LetGo();
  Deliver(env, callback, std::move(lock));
}

void ReportingThread::Unref() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (!ended_ && !abandoned_) function_.Unref(env_);
}

void ReportingThread::Stop() { StopWithin(std::nullopt); }

void ReportingThread::StopWithin(std::optional<std::chrono::milliseconds> grace) {
  if (!thread_.joinable()) return;
  cancel_();
  std::unique_lock<std::mutex> lock(mutex_);
  const auto ended = [this] { return ended_; };
  if (grace) {
    changed_.wait_for(lock, *grace, ended);
  } else {
    changed_.wait(lock, ended);
  }
  if (!ended_) {
    abandoned_ = true;
    function_.Release();
    changed_.notify_all();
  }
  LetGo();
}

// With the mutex held, which the thread does not take again once it has ended: joining it is a matter of microseconds.
void ReportingThread::LetGo() {
  if (!thread_.joinable()) return;
  if (ended_) {
    thread_.join();
  } else {
    thread_.detach();
  }
  cancel_ = nullptr;
  if (hook_ == nullptr) return;
  napi_remove_env_cleanup_hook(env_, StopAtExit, hook_);
  delete std::exchange(hook_, nullptr);
}

void ReportingThread::StopAtExit(void* hook) {
  const auto* owner = static_cast<Hook*>(hook);
  const Hook self = *owner;
  self->hook_ = nullptr;  // the environment has removed it
  delete owner;
  self->StopWithin(self->exit_grace_);
}

}  // namespace stowage
