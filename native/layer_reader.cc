#include "layer_reader.h"

#include <memory>
#include <optional>
#include <utility>

namespace stowage {

Napi::Object ToJavaScript(Napi::Env env, const layer::LayerScanResult& layer) {
  const layer::LayerFacts& facts = layer.facts;
  const char* const compressions[] = {"none", "gzip", "zstd"};
  Napi::Object object = Napi::Object::New(env);
  object.Set("compression", compressions[static_cast<size_t>(facts.compression)]);
  object.Set("digest", Hex(facts.digest));
  object.Set("diffId", Hex(facts.diff_id));
  object.Set("size", static_cast<double>(facts.size));
  object.Set("uncompressedSize", static_cast<double>(facts.uncompressed_size));
  object.Set("globals", static_cast<double>(layer.globals));
  return object;
}

// callback({ room, result?, error? })
struct LayerReader::Events : ThreadEvents {
  std::optional<layer::LayerScanResult> result;

  void Describe(Napi::Object event) override {
    if (result) event.Set("result", ToJavaScript(event.Env(), *result));
  }
};

void LayerReader::Register(Napi::Env env, Napi::Object exports) {
  Define(env, exports, "LayerReader",
         {InstanceMethod("push", &LayerReader::Push), InstanceMethod("take", &LayerReader::Take)});
}

// new LayerReader({ name, hash, headSize }, callback)
LayerReader::LayerReader(const Napi::CallbackInfo& info) : ThreadJob(info) {
  const auto settings = info[0].As<Napi::Object>();
  layer::LayerScanOptions options;
  options.name = settings.Get("name").As<Napi::String>().Utf8Value();
  const std::string hash = settings.Get("hash").As<Napi::String>().Utf8Value();
  if (hash == "sha256") options.hash = layer::EntryHash::kSha256;
  if (hash == "sha1") options.hash = layer::EntryHash::kSha1;
  const auto whole = settings.Get("whole").As<Napi::Array>();
  for (uint32_t n = 0; n < whole.Length(); ++n) {
    options.whole.insert(whole.Get(n).As<Napi::String>().Utf8Value());
  }
  options.head_size = settings.Get("headSize").As<Napi::Number>().Uint32Value();

  const auto events = std::make_shared<Events>();
  layer::LayerScan::Observer observer;
  observer.room = [events] { events->ReportRoom(); };
  observer.ready = [events] { events->ReportReady(); };
  Start(std::make_shared<layer::LayerScan>(std::move(options), std::move(observer)), events,
        info[1].As<Napi::Function>(), "wim:read-layer");
}

}  // namespace stowage
