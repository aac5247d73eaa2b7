// CaptureJob: a layer::LayerCapture on a thread of its own, steered and watched by JavaScript.
#ifndef STOWAGE_CAPTURE_JOB_H_
#define STOWAGE_CAPTURE_JOB_H_

#include <napi.h>

#include "layer/layer_capture.h"
#include "thread_job.h"

namespace stowage {

class CaptureJob : public ThreadJob<CaptureJob, layer::LayerCapture> {
 public:
  static void Register(Napi::Env env, Napi::Object exports);
  explicit CaptureJob(const Napi::CallbackInfo& info);

 private:
  struct Events;

  void Begin(const Napi::CallbackInfo& info);
  void Seal(const Napi::CallbackInfo& info);
};

}  // namespace stowage

#endif  // STOWAGE_CAPTURE_JOB_H_
