// What the jobs of layers and of blobs have in common: work on a thread of its own that JavaScript feeds, finishes and
// cancels, and that reports to it in one kind of event.
#ifndef STOWAGE_THREAD_JOB_H_
#define STOWAGE_THREAD_JOB_H_

#include <napi.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "promise_worker.h"
#include "reporting_thread.h"

namespace stowage {

// A job adds fields of its own, and `result`, a std::optional of what its work returns.
class ThreadEvents : public ReportingThread {
 public:
  // Something can be taken.
  void ReportReady();
  // More can be pushed.
  void ReportRoom();

 protected:
  // On the JavaScript thread, with the mutex held: puts into `event` what happened, beside { room: boolean, error?:
  // Error }.
  virtual void Describe(Napi::Object event) = 0;

 private:
  void Deliver(Napi::Env env, Napi::Function callback, std::unique_lock<std::mutex> lock) override;

  bool room_ = false;
};

// Wraps work that can be finished and cancelled from any thread: `Run()` does it, returns the result, and throws
// ABORTED soon after `Cancel()`.
template <typename Self, typename Work>
class ThreadJob : public Napi::ObjectWrap<Self> {
 public:
  ~ThreadJob() override { End(); }

 protected:
  using Wrap = Napi::ObjectWrap<Self>;
  using Method = typename Wrap::PropertyDescriptor;

  // Defines a class with finish(), cancel(), close() and the job's own methods.
  static void Define(Napi::Env env, Napi::Object exports, const char* name, std::vector<Method> methods) {
    methods.push_back(Wrap::InstanceMethod("finish", &ThreadJob::Finish));
    methods.push_back(Wrap::InstanceMethod("cancel", &ThreadJob::Cancel));
    methods.push_back(Wrap::InstanceMethod("close", &ThreadJob::Close));
    exports.Set(name, Wrap::DefineClass(env, name, methods));
  }

  // Starts the thread: call it once, at the end of the constructor.
  template <typename Events>
  void Start(const std::shared_ptr<Work>& work, const std::shared_ptr<Events>& events, Napi::Function callback,
             const char* name) {
    work_ = work;
    thread_ = events;
    // The events own the thread, so the thread need not own them a second time.
    const auto run = [work, to = events.get()] {
      auto result = work->Run();
      to->Report([&] { to->result = std::move(result); });
    };
    events->Start(this->Env(), callback, name, {run, [work] { work->Cancel(); }, std::nullopt});
  }

  // Throws a JavaScript error once the job is closed.
  Work& Open() {
    if (!work_) throw ToJavaScript(this->Env(), Error("WIM_CLOSED", "this job is closed"));
    return *work_;
  }

  // For work that takes bytes. push(bytes: Uint8Array): number of bytes queued
  Napi::Value Push(const Napi::CallbackInfo& info) {
    const auto bytes = info[0].As<Napi::Uint8Array>();
    const size_t queued = Open().Push(std::vector<uint8_t>(bytes.Data(), bytes.Data() + bytes.ByteLength()));
    return Napi::Number::New(info.Env(), static_cast<double>(queued));
  }

  // For work that makes batches. take(): Buffer, or undefined if none is ready
  Napi::Value Take(const Napi::CallbackInfo& info) {
    std::vector<uint8_t> batch;
    if (!work_ || !work_->Take(&batch)) return info.Env().Undefined();
    return Napi::Buffer<uint8_t>::Copy(info.Env(), batch.data(), batch.size());
  }

 private:
  friend Self;

  explicit ThreadJob(const Napi::CallbackInfo& info) : Wrap(info) {}

  void Finish(const Napi::CallbackInfo&) {
    if (work_) work_->Finish();
  }

  void Cancel(const Napi::CallbackInfo&) {
    if (work_) work_->Cancel();
  }

  void Close(const Napi::CallbackInfo&) { End(); }

  // Cancels what still runs, waits for it, and releases what the work holds. Joining on the JavaScript thread is
  // deliberate: once this returns, the caller may close the descriptor and remove the file that the work writes to.
  // Callers that write wait for the result or the error first, and then there is nothing to wait for. If they do not,
  // or if the process exits in the middle, this lasts until the current decompression, compression, write or fsync is
  // done; a slow medium can make that seconds.
  void End() {
    if (thread_) thread_->Stop();
    work_.reset();
  }

  std::shared_ptr<Work> work_;
  std::shared_ptr<ReportingThread> thread_;
};

}  // namespace stowage

#endif  // STOWAGE_THREAD_JOB_H_
