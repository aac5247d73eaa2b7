// Work on Node's thread pool that settles a promise: C++ off the JavaScript thread, JavaScript values only on it.
#ifndef STOWAGE_PROMISE_WORKER_H_
#define STOWAGE_PROMISE_WORKER_H_

#include <napi.h>

#include <exception>
#include <functional>
#include <string>
#include <utility>

#include "wim/error.h"

// An error as JavaScript gets it: `code` and, where libwim said more, `details`. src/wim/ makes a StowageError of it.
inline Napi::Error ToJavaScript(Napi::Env env, const std::string& code, const std::string& message,
                                const std::string& details) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  if (!details.empty()) error.Set("details", Napi::String::New(env, details));
  return error;
}

template <typename Result>
class PromiseWorker : public Napi::AsyncWorker {
 public:
  using Work = std::function<Result()>;
  using Convert = std::function<Napi::Value(Napi::Env, Result&)>;

  // Runs `work` on the pool, then `convert` on the JavaScript thread.
  static Napi::Promise Run(Napi::Env env, const char* name, Work work, Convert convert) {
    auto* worker = new PromiseWorker(env, name, std::move(work), std::move(convert));  // AsyncWorker deletes itself
    Napi::Promise promise = worker->deferred_.Promise();
    worker->Queue();
    return promise;
  }

 private:
  PromiseWorker(Napi::Env env, const char* name, Work work, Convert convert)
      : Napi::AsyncWorker(env, name),
        deferred_(Napi::Promise::Deferred::New(env)),
        work_(std::move(work)),
        convert_(std::move(convert)) {}

  void Execute() override {
    try {
      result_ = work_();
    } catch (const wim::Error& error) {
      code_ = error.code();
      details_ = error.details();
      SetError(error.what());
    } catch (const std::bad_alloc&) {
      code_ = "ENOMEM";
      SetError("not enough memory");
    } catch (const std::exception& error) {
      code_ = "WIM_ERROR";
      SetError(error.what());
    }
  }

  void OnOK() override { deferred_.Resolve(convert_(Env(), result_)); }
  void OnError(const Napi::Error& error) override {
    deferred_.Reject(ToJavaScript(Env(), code_, error.Message(), details_).Value());
  }

  Napi::Promise::Deferred deferred_;
  Work work_;
  Convert convert_;
  Result result_{};
  std::string code_;
  std::string details_;
};

#endif  // STOWAGE_PROMISE_WORKER_H_
