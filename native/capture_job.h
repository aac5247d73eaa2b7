// CaptureJob: a wim::LayerCapture on a thread of its own, steered and watched by JavaScript.
#ifndef STOWAGE_CAPTURE_JOB_H_
#define STOWAGE_CAPTURE_JOB_H_

#include <napi.h>

#include "thread_job.h"
#include "wim/layer_capture.h"

class CaptureJob : public ThreadJob<CaptureJob, wim::LayerCapture> {
 public:
  static void Register(Napi::Env env, Napi::Object exports);
  explicit CaptureJob(const Napi::CallbackInfo& info);

 private:
  struct Events;

  void Begin(const Napi::CallbackInfo& info);
  void Seal(const Napi::CallbackInfo& info);
};

#endif  // STOWAGE_CAPTURE_JOB_H_
