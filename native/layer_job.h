// LayerJob: a wim::LayerStream on a thread of its own, steered and watched by JavaScript.
#ifndef STOWAGE_LAYER_JOB_H_
#define STOWAGE_LAYER_JOB_H_

#include <napi.h>

#include "thread_job.h"
#include "wim/layer_stream.h"

class LayerJob : public ThreadJob<LayerJob, wim::LayerStream> {
 public:
  static void Register(Napi::Env env, Napi::Object exports);
  explicit LayerJob(const Napi::CallbackInfo& info);

 private:
  struct Events;

  Napi::Value PushPlan(const Napi::CallbackInfo& info);
};

#endif  // STOWAGE_LAYER_JOB_H_
