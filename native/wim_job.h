// WimJob: one operation of libwim on a thread of its own, watched, answered and cancelled by JavaScript.
#ifndef STOWAGE_WIM_JOB_H_
#define STOWAGE_WIM_JOB_H_

#include <napi.h>

#include <memory>

namespace stowage {

class WimJob : public Napi::ObjectWrap<WimJob> {
 public:
  static void Register(Napi::Env env, Napi::Object exports);
  explicit WimJob(const Napi::CallbackInfo& info);
  ~WimJob() override;

 private:
  class State;

  Napi::Value Answer(const Napi::CallbackInfo& info);
  Napi::Value Cancel(const Napi::CallbackInfo& info);
  Napi::Value Unref(const Napi::CallbackInfo& info);

  // Shared with the thread, which may outlive this object.
  std::shared_ptr<State> state_;
};

}  // namespace stowage

#endif  // STOWAGE_WIM_JOB_H_
