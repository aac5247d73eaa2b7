// A thread that reports to JavaScript. All threads of native/ that do so are built on it.
#ifndef STOWAGE_REPORTING_THREAD_H_
#define STOWAGE_REPORTING_THREAD_H_

#include <napi.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "base/error.h"

namespace stowage {

// What happened since JavaScript last looked is gathered in the fields of a derived class. One call is under way at a
// time, however often the thread reports, and that call takes everything gathered so far.
//
// The thread and the environment's cleanup hook share ownership of this object, so it outlives both. When the thread
// cannot be started, neither of them exists and nothing is left behind.
class ReportingThread : public std::enable_shared_from_this<ReportingThread> {
 public:
  struct Task {
    // On the thread. What it throws is reported as the failure. It is destroyed before the end is reported.
    std::function<void()> run;
    // From any thread: makes `run` return or throw soon.
    std::function<void()> cancel;
    // How long the end of the environment waits for the thread once it is cancelled; then the thread is left to end by
    // itself, and reports nothing. If unset, the environment waits as long as it takes.
    std::optional<std::chrono::milliseconds> exit_grace;
  };

  virtual ~ReportingThread() = default;

  // On the JavaScript thread, once. Throws a JavaScript error if the thread cannot be started.
  void Start(Napi::Env env, Napi::Function callback, const char* name, Task task);
  // On the JavaScript thread. The process need not wait for this thread.
  void Unref();
  // On the JavaScript thread. Cancels the task and waits for its end.
  void Stop();

  // From any thread. `change` notes what happened, with the mutex held: it must be quick.
  template <typename Change>
  void Report(Change change) {
    std::lock_guard<std::mutex> lock(mutex_);
    change();
    Call();
  }

 protected:
  // On the JavaScript thread, with the mutex held: takes what was gathered, releases `lock`, and calls `callback`.
  virtual void Deliver(Napi::Env env, Napi::Function callback, std::unique_lock<std::mutex> lock) = 0;

  // With the mutex held: Deliver() runs soon.
  void Call();

  // Of what follows and of the fields of derived classes.
  std::mutex mutex_;
  // Notified when the thread ends and when it is abandoned.
  std::condition_variable changed_;
  // The task is over: `failure_` says how, and nothing is gathered any more.
  bool ended_ = false;
  std::optional<Error> failure_;
  // The environment has ended, so nothing is reported any more.
  bool abandoned_ = false;

 private:
  using Hook = std::shared_ptr<ReportingThread>;

  void Run(std::function<void()> run);
  void Receive(Napi::Env env, Napi::Function callback);
  void StopWithin(std::optional<std::chrono::milliseconds> grace);
  void LetGo();
  static void StopAtExit(void* hook);

  bool called_ = false;
  Napi::ThreadSafeFunction function_;

  // Of the JavaScript thread alone.
  napi_env env_ = nullptr;
  std::thread thread_;
  std::function<void()> cancel_;
  std::optional<std::chrono::milliseconds> exit_grace_;
  // Registered with the environment from when the thread runs until it is joined or detached.
  Hook* hook_ = nullptr;
};

}  // namespace stowage

#endif  // STOWAGE_REPORTING_THREAD_H_
