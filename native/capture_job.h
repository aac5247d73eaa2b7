// CaptureJob: a wim::LayerCapture on a thread of its own, steered and watched by JavaScript.
#ifndef STOWAGE_CAPTURE_JOB_H_
#define STOWAGE_CAPTURE_JOB_H_

#include <napi.h>

#include <memory>
#include <thread>

#include "wim/layer_capture.h"

class CaptureJob : public Napi::ObjectWrap<CaptureJob> {
 public:
  static void Register(Napi::Env env, Napi::Object exports);
  explicit CaptureJob(const Napi::CallbackInfo& info);
  ~CaptureJob() override;

 private:
  struct Events;

  Napi::Value Begin(const Napi::CallbackInfo& info);
  Napi::Value Push(const Napi::CallbackInfo& info);
  Napi::Value Finish(const Napi::CallbackInfo& info);
  Napi::Value Take(const Napi::CallbackInfo& info);
  Napi::Value Seal(const Napi::CallbackInfo& info);
  Napi::Value Cancel(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  void Close();
  // Cancels and waits: at most as long as it takes to compress what a worker was given.
  void Stop();
  static void StopAtExit(void* job);
  wim::LayerCapture& Capture(Napi::Env env);

  std::shared_ptr<wim::LayerCapture> capture_;
  std::shared_ptr<Events> events_;
  std::thread thread_;
};

#endif  // STOWAGE_CAPTURE_JOB_H_
