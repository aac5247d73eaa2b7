// LayerReader: a layer::LayerScan on a thread of its own, fed and emptied by JavaScript.
#ifndef STOWAGE_LAYER_READER_H_
#define STOWAGE_LAYER_READER_H_

#include <napi.h>

#include "layer/layer_scan.h"
#include "thread_job.h"

namespace stowage {

class LayerReader : public ThreadJob<LayerReader, layer::LayerScan> {
 public:
  static void Register(Napi::Env env, Napi::Object exports);
  explicit LayerReader(const Napi::CallbackInfo& info);

 private:
  struct Events;
};

// { compression, digest, diffId, size, uncompressedSize, globals }
Napi::Object ToJavaScript(Napi::Env env, const layer::LayerScanResult& layer);

}  // namespace stowage

#endif  // STOWAGE_LAYER_READER_H_
