// Work on Node's thread pool that settles a promise: C++ off the JavaScript thread, JavaScript values only on it.
#ifndef STOWAGE_PROMISE_WORKER_H_
#define STOWAGE_PROMISE_WORKER_H_

#include <napi.h>

#include <exception>
#include <functional>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include "base/error.h"

namespace stowage {

// An error as JavaScript gets it: `code`, `details` if libwim printed more, `systemCode` if an errno is the cause, and
// `written` if writing a file failed. src/wim/ turns it into a StowageError.
inline Napi::Error ToJavaScript(Napi::Env env, const Error& thrown) {
  Napi::Error error = Napi::Error::New(env, thrown.what());
  error.Set("code", Napi::String::New(env, thrown.code()));
  if (!thrown.details().empty()) error.Set("details", Napi::String::New(env, thrown.details()));
  if (!thrown.cause().empty()) error.Set("systemCode", Napi::String::New(env, thrown.cause()));
  if (!thrown.written().empty()) error.Set("written", Napi::String::New(env, thrown.written()));
  return error;
}

// Whatever was thrown, as our own error. Call it in a catch block.
inline Error CurrentError() {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return Error("ENOMEM", "not enough memory");
  } catch (const std::exception& error) {
    return Error("WIM_ERROR", error.what());
  }
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
    } catch (...) {
      const Error& error = error_.emplace(CurrentError());
      SetError(error.what());
    }
  }

  void OnOK() override { deferred_.Resolve(convert_(Env(), result_)); }
  void OnError(const Napi::Error&) override {
    // NOLINTNEXTLINE(bugprone-unchecked-optional-access): called only after SetError(), and then it is set
    deferred_.Reject(ToJavaScript(Env(), *error_).Value());
  }

  Napi::Promise::Deferred deferred_;
  Work work_;
  Convert convert_;
  Result result_{};
  std::optional<Error> error_;
};

}  // namespace stowage

#endif  // STOWAGE_PROMISE_WORKER_H_
