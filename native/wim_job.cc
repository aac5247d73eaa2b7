#include "wim_job.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "convert.h"
#include "promise_worker.h"
#include "wim/operations.h"

namespace {

// So many events may wait for JavaScript; then the operation waits.
constexpr size_t kMostEvents = 4096;
// How long the end of the environment waits for an operation that was cancelled.
constexpr std::chrono::milliseconds kPatience(300);

const std::string* TypeOf(const wim::Object& event) {
  for (const auto& [name, value] : event) {
    if (name == "type") return std::get_if<std::string>(&value);
  }
  return nullptr;
}

}  // namespace

class WimJob::State : public wim::Observer, public std::enable_shared_from_this<State> {
 public:
  State(Napi::Env env, Napi::Function callback)
      : env_(env), function_(Napi::ThreadSafeFunction::New(env, callback, "wim:job", 0, 1)) {}

  // Hooks run last in, first out: the thread is told before Node takes the function away that it calls.
  void Guard() { napi_add_env_cleanup_hook(env_, StopAtExit, this); }

  void Run(const std::string& operation, wim::Object arguments) {
    std::optional<wim::Value> result;
    std::optional<wim::Error> failure;
    try {
      if (cancelled()) throw wim::Error("ABORTED", "interrupted before the end");
      result = wim::RunOperation(operation, arguments, *this);
    } catch (...) {
      failure = CurrentError();
    }
    // Before anybody hears of the end: who then closes a WIM is the last to hold it.
    arguments.clear();
    std::lock_guard<std::mutex> lock(mutex_);
    result_ = std::move(result);
    failure_ = std::move(failure);
    ended_ = true;
    changed_.notify_all();
    Call();
    if (!abandoned_) function_.Release();
  }

  void Tell(wim::Object event, bool each) override {
    std::unique_lock<std::mutex> lock(mutex_);
    if (!each) {
      const std::string* type = TypeOf(event);
      for (wim::Object& waiting : events_) {
        if (type != nullptr && TypeOf(waiting) != nullptr && *TypeOf(waiting) == *type) {
          waiting = std::move(event);
          return;
        }
      }
    }
    events_.push_back(std::move(event));
    Call();
    changed_.wait(lock, [this] { return events_.size() < kMostEvents || cancelled() || abandoned_; });
  }

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

  // On the JavaScript thread.
  void Unref() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!ended_ && !abandoned_) function_.Unref(env_);
  }

  // The environment ends: cancels, waits a moment, and lets the thread end by itself when libwim takes longer. It
  // touches nothing of Node's any more.
  void Abandon() {
    CancelNow();
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait_for(lock, kPatience, [this] { return ended_; });
    if (!ended_) function_.Release();
    abandoned_ = true;
    changed_.notify_all();
  }

 private:
  // With the mutex held. One call is under way at a time: events gather, and the call takes them all.
  void Call() {
    if (called_ || abandoned_) return;
    called_ = true;
    auto self = shared_from_this();
    // Closing: the environment ends, and nobody is left to tell.
    function_.NonBlockingCall([self](Napi::Env env, Napi::Function callback) { self->Deliver(env, callback); });
  }

  // callback(events: object[], question?: object, ended: boolean, result?: unknown, error?: Error)
  void Deliver(Napi::Env env, Napi::Function callback) {
    if (static_cast<napi_env>(env) == nullptr || callback.IsEmpty()) return;
    std::deque<wim::Object> events;
    std::optional<wim::Object> question;
    std::optional<wim::Value> result;
    bool ended = false;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      called_ = false;
      events.swap(events_);
      question.swap(question_);
      ended = ended_;
      // Not kept: a WIM is closed when JavaScript lets go of it, not of the job that opened it.
      if (ended) result.swap(result_);
      changed_.notify_all();
    }
    if (ended) napi_remove_env_cleanup_hook(env, StopAtExit, this);
    Napi::Array told = Napi::Array::New(env, events.size());
    for (uint32_t n = 0; n < events.size(); n++) told.Set(n, ToJavaScript(env, wim::Value(std::move(events[n]))));
    callback.Call({told, question ? ToJavaScript(env, wim::Value(std::move(*question))) : env.Undefined(),
                   Napi::Boolean::New(env, ended), result ? MoveToJavaScript(env, std::move(*result)) : env.Undefined(),
                   failure_ && ended ? ToJavaScript(env, *failure_).Value() : env.Undefined()});
  }

  Napi::Env env_;
  Napi::ThreadSafeFunction function_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool called_ = false;
  bool ended_ = false;
  bool abandoned_ = false;
  std::deque<wim::Object> events_;
  std::optional<wim::Object> question_;
  std::optional<wim::Value> answer_;
  // Written once, before ended_.
  std::optional<wim::Value> result_;
  std::optional<wim::Error> failure_;
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
  state_ = std::make_shared<State>(env, info[2].As<Napi::Function>());
  state_->Guard();
  try {
    std::thread([state = state_, operation = std::move(operation), arguments = std::move(arguments)]() mutable {
      state->Run(operation, std::move(arguments));
    }).detach();
  } catch (const std::exception& error) {
    state_->Abandon();
    throw ToJavaScript(env, wim::Error("WIM_ERROR", std::string("cannot start a thread: ") + error.what()));
  }
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

void WimJob::StopAtExit(void* state) { static_cast<State*>(state)->Abandon(); }
