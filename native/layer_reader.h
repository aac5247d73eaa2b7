// LayerReader: a wim::LayerScan on a thread of its own, fed and emptied by JavaScript.
#ifndef STOWAGE_LAYER_READER_H_
#define STOWAGE_LAYER_READER_H_

#include <napi.h>

#include <memory>
#include <thread>

#include "wim/layer_scan.h"

class LayerReader : public Napi::ObjectWrap<LayerReader> {
 public:
  static void Register(Napi::Env env, Napi::Object exports);
  explicit LayerReader(const Napi::CallbackInfo& info);
  ~LayerReader() override;

 private:
  struct Events;

  Napi::Value Push(const Napi::CallbackInfo& info);
  Napi::Value Finish(const Napi::CallbackInfo& info);
  Napi::Value Take(const Napi::CallbackInfo& info);
  Napi::Value Cancel(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  void Close();
  // Cancels and waits: at most as long as it takes to decompress a piece.
  void Stop();
  static void StopAtExit(void* reader);

  std::shared_ptr<wim::ByteQueue> queue_;
  std::shared_ptr<wim::LayerScan> scan_;
  std::shared_ptr<Events> events_;
  std::thread thread_;
};

#endif  // STOWAGE_LAYER_READER_H_
