// What jobs have in common that run on a thread of their own, steered and watched by JavaScript: LayerJob, LayerReader
// and CaptureJob.
#ifndef STOWAGE_THREAD_JOB_H_
#define STOWAGE_THREAD_JOB_H_

#include <napi.h>

#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "promise_worker.h"

// What happened since JavaScript last looked. One call is under way at a time, however often the thread reports: events
// are gathered here, and the call takes them all. A job adds its own, and `result`, a std::optional of what its work
// gives.
class ThreadEvents : public std::enable_shared_from_this<ThreadEvents> {
 public:
  virtual ~ThreadEvents() = default;

  // `callback` is given an object: { room: boolean, error?: Error }, and what Tell() puts there.
  void Listen(Napi::Env env, Napi::Function callback, const char* name);
  // Nothing is reported any more.
  void Release();

  // From any thread. `change` notes what happened, in the fields of the job's own events; it must be quick.
  template <typename Change>
  void Report(Change change) {
    std::lock_guard<std::mutex> lock(mutex_);
    change();
    Call();
  }
  // Something can be taken.
  void ReportReady();
  // More can be pushed.
  void ReportRoom();
  void ReportFailure(wim::Error failure);

 protected:
  // On the JavaScript thread, while nothing is reported.
  virtual void Tell(Napi::Object event) = 0;

 private:
  void Call();
  void Deliver(Napi::Env env, Napi::Function callback);

  std::mutex mutex_;
  bool called_ = false;
  bool room_ = false;
  std::optional<wim::Error> failure_;
  Napi::ThreadSafeFunction function_;
};

// Wraps work that can be finished and cancelled from any thread: `Run()` does it and gives the result, and throws
// ABORTED soon after `Cancel()`.
template <typename Self, typename Work>
class ThreadJob : public Napi::ObjectWrap<Self> {
 public:
  ~ThreadJob() override { End(); }

 protected:
  using Wrap = Napi::ObjectWrap<Self>;
  using Method = typename Wrap::PropertyDescriptor;

  explicit ThreadJob(const Napi::CallbackInfo& info) : Wrap(info) {}

  // A class of finish(), cancel(), close() and the job's own methods.
  static void Define(Napi::Env env, Napi::Object exports, const char* name, std::vector<Method> methods) {
    methods.push_back(Wrap::InstanceMethod("finish", &ThreadJob::Finish));
    methods.push_back(Wrap::InstanceMethod("cancel", &ThreadJob::Cancel));
    methods.push_back(Wrap::InstanceMethod("close", &ThreadJob::Close));
    exports.Set(name, Wrap::DefineClass(env, name, methods));
  }

  // Starts the thread: call it once, at the end of the constructor.
  template <typename Events>
  void Start(std::shared_ptr<Work> work, std::shared_ptr<Events> events, Napi::Function callback, const char* name) {
    work_ = std::move(work);
    events->Listen(this->Env(), callback, name);
    try {
      thread_ = std::thread([work = work_, events] {
        try {
          const auto result = work->Run();
          events->Report([&] { events->result = result; });
        } catch (...) {
          events->ReportFailure(CurrentError());
        }
        events->Release();
      });
    } catch (const std::exception& error) {
      events->Release();
      throw ToJavaScript(this->Env(), wim::Error("WIM_ERROR", std::string("cannot start a thread: ") + error.what()));
    }
    // Hooks run last in, first out: the thread ends before Node takes the function away that it calls.
    napi_add_env_cleanup_hook(this->Env(), StopAtExit, this);
  }

  // Throws a JavaScript error once the job is closed.
  Work& Open() {
    if (!work_) throw ToJavaScript(this->Env(), wim::Error("WIM_CLOSED", "this job is closed"));
    return *work_;
  }

  // For work that takes bytes. push(bytes: Uint8Array): number of bytes queued
  Napi::Value Push(const Napi::CallbackInfo& info) {
    const auto bytes = info[0].As<Napi::Uint8Array>();
    const size_t queued = Open().Push(std::vector<uint8_t>(bytes.Data(), bytes.Data() + bytes.ByteLength()));
    return Napi::Number::New(info.Env(), static_cast<double>(queued));
  }

  // For work that gives batches. take(): Buffer, or undefined where none is ready
  Napi::Value Take(const Napi::CallbackInfo& info) {
    std::vector<uint8_t> batch;
    if (!work_ || !work_->Take(&batch)) return info.Env().Undefined();
    return Napi::Buffer<uint8_t>::Copy(info.Env(), batch.data(), batch.size());
  }

 private:
  void Finish(const Napi::CallbackInfo&) {
    if (work_) work_->Finish();
  }

  void Cancel(const Napi::CallbackInfo&) {
    if (work_) work_->Cancel();
  }

  void Close(const Napi::CallbackInfo&) { End(); }

  // Cancels what still runs, waits for it, and lets go of what the work holds.
  void End() {
    if (thread_.joinable()) {
      napi_remove_env_cleanup_hook(this->Env(), StopAtExit, this);
      Stop();
    }
    work_.reset();
  }

  // Waits at most as long as it takes to decompress or to compress what a worker was given.
  void Stop() {
    work_->Cancel();
    thread_.join();
  }

  static void StopAtExit(void* job) { static_cast<ThreadJob*>(job)->Stop(); }

  std::shared_ptr<Work> work_;
  std::thread thread_;
};

#endif  // STOWAGE_THREAD_JOB_H_
