// LayerJob: a layer::LayerStream on a thread of its own, steered and watched by JavaScript.
#ifndef STOWAGE_LAYER_JOB_H_
#define STOWAGE_LAYER_JOB_H_

#include <napi.h>

#include "layer/layer_stream.h"
#include "thread_job.h"

namespace stowage {

class LayerJob : public ThreadJob<LayerJob, layer::LayerStream> {
 public:
  static void Register(Napi::Env env, Napi::Object exports);
  explicit LayerJob(const Napi::CallbackInfo& info);

 private:
  struct Events;

  Napi::Value PushPlan(const Napi::CallbackInfo& info);
};

}  // namespace stowage

#endif  // STOWAGE_LAYER_JOB_H_
