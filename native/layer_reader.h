// LayerReader: a wim::LayerScan on a thread of its own, fed and emptied by JavaScript.
#ifndef STOWAGE_LAYER_READER_H_
#define STOWAGE_LAYER_READER_H_

#include <napi.h>

#include "thread_job.h"
#include "wim/layer_scan.h"

class LayerReader : public ThreadJob<LayerReader, wim::LayerScan> {
 public:
  static void Register(Napi::Env env, Napi::Object exports);
  explicit LayerReader(const Napi::CallbackInfo& info);

 private:
  struct Events;
};

// { compression, digest, diffId, size, uncompressedSize, globals }
Napi::Object ToJavaScript(Napi::Env env, const wim::LayerScanResult& layer);

#endif  // STOWAGE_LAYER_READER_H_
