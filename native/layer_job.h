// LayerJob: a wim::LayerStream on a thread of its own, steered and watched by JavaScript.
#ifndef STOWAGE_LAYER_JOB_H_
#define STOWAGE_LAYER_JOB_H_

#include <napi.h>

#include <memory>
#include <thread>

#include "wim/layer_stream.h"

class LayerJob : public Napi::ObjectWrap<LayerJob> {
 public:
  static void Register(Napi::Env env, Napi::Object exports);
  explicit LayerJob(const Napi::CallbackInfo& info);
  ~LayerJob() override;

 private:
  struct Events;

  Napi::Value Push(const Napi::CallbackInfo& info);
  Napi::Value Finish(const Napi::CallbackInfo& info);
  Napi::Value Cancel(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  void Close();
  // Cancels and waits: at most as long as it takes to decompress a chunk.
  void Stop();
  static void StopAtExit(void* job);

  std::shared_ptr<wim::LayerStream> stream_;
  std::shared_ptr<Events> events_;
  std::thread thread_;
};

#endif  // STOWAGE_LAYER_JOB_H_
