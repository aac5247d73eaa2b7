#include "wim_job.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "convert.h"
#include "promise_worker.h"
#include "reporting_thread.h"
#include "wim/operations.h"

namespace stowage {

namespace {

// Once this many events wait for JavaScript, the operation waits too.
constexpr size_t kMostEvents = 4096;
// How long the end of the environment waits for an operation that was cancelled: libwim notices between two chunks, and
// one chunk can take it many seconds.
constexpr std::chrono::milliseconds kExitGrace(300);

}  // namespace

class WimJob::State : public wim::Observer, public ReportingThread {
 public:
  void Begin(Napi::Env env, Napi::Function callback, std::string operation, wim::Object arguments) {
    // The thread owns this object while it runs the task.
    auto run = [this, operation = std::move(operation), arguments = std::move(arguments)] {
      if (cancelled()) throw Error("ABORTED", "interrupted before the end");
      wim::Value result = wim::RunOperation(operation, arguments, *this);
      std::lock_guard<std::mutex> lock(mutex_);
      result_ = std::move(result);
    };
    Start(env, callback, "wim:job", {std::move(run), [this] { CancelNow(); }, kExitGrace});
  }

  void Report(wim::Object event) override { Add({std::move(event), {}}); }

  void ReportCount(const std::string& subject, wim::Object event) override { Add({std::move(event), subject}); }

  std::optional<wim::Value> Ask(wim::Object question) override {
    std::unique_lock<std::mutex> lock(mutex_);
    question_ = std::move(question);
    answer_.reset();
    Call();
    changed_.wait(lock, [this] { return answer_ || cancelled() || abandoned_; });
    question_.reset();
    return std::exchange(answer_, std::nullopt);
  }

  void Answer(wim::Value answer) {
    std::lock_guard<std::mutex> lock(mutex_);
    answer_ = std::move(answer);
    changed_.notify_all();
  }

  void CancelNow() {
    Cancel();
    std::lock_guard<std::mutex> lock(mutex_);
    changed_.notify_all();
  }

 private:
  struct Waiting {
    wim::Object event;
    // Of a count; empty for an event that is not a count.
    std::string subject;
  };

  void Add(Waiting added) {
    std::unique_lock<std::mutex> lock(mutex_);
    // A count replaces the last of the same subject, but never moves past an event that is not a count.
    for (auto waiting = events_.rbegin(); waiting != events_.rend(); ++waiting) {
      if (added.subject.empty() || waiting->subject.empty()) break;
      if (waiting->subject != added.subject) continue;
      waiting->event = std::move(added.event);
      return;
    }
    events_.push_back(std::move(added));
    Call();
    changed_.wait(lock, [this] { return events_.size() < kMostEvents || cancelled() || abandoned_; });
  }

  // callback(events: object[], question?: object, ended: boolean, result?: unknown, error?: Error)
  void Deliver(Napi::Env env, Napi::Function callback, std::unique_lock<std::mutex> lock) override {
    std::deque<Waiting> events;
    std::optional<wim::Object> question;
    std::optional<wim::Value> result;
    events.swap(events_);
    question.swap(question_);
    const bool ended = ended_;
    // Not kept: a WIM is closed when JavaScript drops it, not when it drops the job that opened it.
    if (ended) result.swap(result_);
    changed_.notify_all();
    lock.unlock();
    Napi::Array list = Napi::Array::New(env, events.size());
    for (uint32_t n = 0; n < events.size(); n++) list.Set(n, ToJavaScript(env, wim::Value(std::move(events[n].event))));
    callback.Call({list, question ? ToJavaScript(env, wim::Value(std::move(*question))) : env.Undefined(),
                   Napi::Boolean::New(env, ended), result ? MoveToJavaScript(env, std::move(*result)) : env.Undefined(),
                   failure_ && ended ? ToJavaScript(env, *failure_).Value() : env.Undefined()});
  }

  std::deque<Waiting> events_;
  std::optional<wim::Object> question_;
  std::optional<wim::Value> answer_;
  std::optional<wim::Value> result_;
};

void WimJob::Register(Napi::Env env, Napi::Object exports) {
  exports.Set("WimJob", DefineClass(env, "WimJob",
                                    {
                                        InstanceMethod<&WimJob::Answer>("answer"),
                                        InstanceMethod<&WimJob::Cancel>("cancel"),
                                        InstanceMethod<&WimJob::Unref>("unref"),
                                    }));
}

// new WimJob(operation: string, arguments: object, callback)
WimJob::WimJob(const Napi::CallbackInfo& info) : Napi::ObjectWrap<WimJob>(info) {
  const Napi::Env env = info.Env();
  std::string operation = info[0].As<Napi::String>();
  wim::Object arguments = ObjectFromJavaScript(info[1].As<Napi::Object>());
  state_ = std::make_shared<State>();
  state_->Begin(env, info[2].As<Napi::Function>(), std::move(operation), std::move(arguments));
}

WimJob::~WimJob() = default;

// answer(value): to the question that was asked last
Napi::Value WimJob::Answer(const Napi::CallbackInfo& info) {
  state_->Answer(FromJavaScript(info[0]));
  return info.Env().Undefined();
}

Napi::Value WimJob::Cancel(const Napi::CallbackInfo& info) {
  state_->CancelNow();
  return info.Env().Undefined();
}

// The process need not wait for this job.
Napi::Value WimJob::Unref(const Napi::CallbackInfo& info) {
  state_->Unref();
  return info.Env().Undefined();
}

}  // namespace stowage
