#include "capture_job.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "layer_reader.h"

namespace stowage {

namespace {

std::vector<uint8_t> Copy(const Napi::Value& value) {
  const auto bytes = value.As<Napi::Uint8Array>();
  return std::vector<uint8_t>(bytes.Data(), bytes.Data() + bytes.ByteLength());
}

std::vector<std::vector<uint8_t>> CopyAll(const Napi::Value& value) {
  const auto list = value.As<Napi::Array>();
  std::vector<std::vector<uint8_t>> all;
  all.reserve(list.Length());
  for (uint32_t i = 0; i < list.Length(); i++) all.push_back(Copy(list.Get(i)));
  return all;
}

}  // namespace

// callback({ room, read, written, layer?, result?, error? })
struct CaptureJob::Events : ThreadEvents {
  uint64_t read = 0;
  uint64_t written = 0;
  // Reported once.
  std::optional<layer::LayerScanResult> layer;
  std::optional<uint64_t> result;

  void Describe(Napi::Object event) override {
    event.Set("read", static_cast<double>(read));
    event.Set("written", static_cast<double>(written));
    if (layer) event.Set("layer", ToJavaScript(event.Env(), *layer));
    layer.reset();
    if (result) event.Set("result", static_cast<double>(*result));
  }
};

void CaptureJob::Register(Napi::Env env, Napi::Object exports) {
  Define(env, exports, "CaptureJob",
         {InstanceMethod("begin", &CaptureJob::Begin), InstanceMethod("push", &CaptureJob::Push),
          InstanceMethod("take", &CaptureJob::Take), InstanceMethod("seal", &CaptureJob::Seal)});
}

// new CaptureJob({ path, compression, level, threads, integrityTable }, callback)
CaptureJob::CaptureJob(const Napi::CallbackInfo& info) : ThreadJob(info) {
  wim::WimWriterOptions options;
  const auto settings = info[0].As<Napi::Object>();
  options.path = settings.Get("path").As<Napi::String>().Utf8Value();
  options.compression = settings.Get("compression").As<Napi::Number>().Int32Value();
  options.level = settings.Get("level").As<Napi::Number>().Uint32Value();
  options.threads = settings.Get("threads").As<Napi::Number>().Uint32Value();
  options.integrity_table = settings.Get("integrityTable").ToBoolean();

  const auto events = std::make_shared<Events>();
  layer::LayerCapture::Observer observer;
  observer.room = [events] { events->ReportRoom(); };
  observer.ready = [events] { events->ReportReady(); };
  observer.progress = [events](uint64_t read, uint64_t written) {
    events->Report([&] {
      events->read = read;
      events->written = written;
    });
  };
  observer.layer = [events](const layer::LayerScanResult& layer) { events->Report([&] { events->layer = layer; }); };
  Start(std::make_shared<layer::LayerCapture>(std::move(options), std::move(observer)), events,
        info[1].As<Napi::Function>(), "wim:capture");
}

// begin(where: string, { keep?: Uint8Array, roots: string[] })
void CaptureJob::Begin(const Napi::CallbackInfo& info) {
  const auto settings = info[1].As<Napi::Object>();
  layer::CaptureLayer layer;
  layer.where = info[0].As<Napi::String>().Utf8Value();
  if (const Napi::Value keep = settings.Get("keep"); keep.IsTypedArray()) layer.keep = Copy(keep);
  const auto roots = settings.Get("roots").As<Napi::Array>();
  for (uint32_t i = 0; i < roots.Length(); i++) layer.roots.push_back(roots.Get(i).As<Napi::String>().Utf8Value());
  Open().Begin(std::move(layer));
}

// seal({ blobs: Uint8Array[], images: Uint8Array[], xml: string, rpfix: boolean })
void CaptureJob::Seal(const Napi::CallbackInfo& info) {
  const auto settings = info[0].As<Napi::Object>();
  Open().Seal({CopyAll(settings.Get("blobs")), CopyAll(settings.Get("images")),
               settings.Get("xml").As<Napi::String>().Utf8Value(), settings.Get("rpfix").ToBoolean()});
}

}  // namespace stowage
