#include "layer_job.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "wim_file.h"

namespace stowage {

namespace {

Compression CompressionOf(const std::string& type) {
  if (type == "gzip") return Compression::kGzip;
  return type == "zstd" ? Compression::kZstd : Compression::kNone;
}

}  // namespace

// callback({ room, uncompressed, written, result?, error? })
struct LayerJob::Events : ThreadEvents {
  uint64_t uncompressed = 0;
  uint64_t written = 0;
  std::optional<layer::LayerResult> result;

  void Describe(Napi::Object event) override {
    event.Set("uncompressed", static_cast<double>(uncompressed));
    event.Set("written", static_cast<double>(written));
    if (!result) return;
    Napi::Object object = Napi::Object::New(event.Env());
    object.Set("diffId", Hex(result->diff_id));
    object.Set("digest", Hex(result->digest));
    object.Set("uncompressedSize", static_cast<double>(result->uncompressed_size));
    object.Set("size", static_cast<double>(result->size));
    event.Set("result", object);
  }
};

void LayerJob::Register(Napi::Env env, Napi::Object exports) {
  Define(env, exports, "LayerJob", {InstanceMethod("push", &LayerJob::PushPlan)});
}

// new LayerJob(wim: WimFile | undefined, blobs: Uint32Array, { path, offset, compression, level, threads }, callback)
LayerJob::LayerJob(const Napi::CallbackInfo& info) : ThreadJob(info) {
  const auto archive = info[0].IsUndefined() ? nullptr : WimFile::ArchiveOf(info[0]);
  const auto list = info[1].As<Napi::Uint32Array>();
  std::vector<uint32_t> blobs(list.Data(), list.Data() + list.ElementLength());
  for (const uint32_t blob : blobs) {
    if (!archive || blob >= archive->blobs().blobs().size()) throw Napi::RangeError::New(info.Env(), "no such blob");
  }
  const auto settings = info[2].As<Napi::Object>();
  layer::LayerOptions options;
  options.path = settings.Get("path").As<Napi::String>().Utf8Value();
  options.offset = static_cast<uint64_t>(settings.Get("offset").As<Napi::Number>().Int64Value());
  options.compression = CompressionOf(settings.Get("compression").As<Napi::String>().Utf8Value());
  options.level = settings.Get("level").As<Napi::Number>().Int32Value();
  options.threads = settings.Get("threads").As<Napi::Number>().Uint32Value();

  const auto events = std::make_shared<Events>();
  layer::LayerStream::Observer observer;
  observer.progress = [events](uint64_t uncompressed, uint64_t written) {
    events->Report([&] {
      events->uncompressed = uncompressed;
      events->written = written;
    });
  };
  observer.room = [events] { events->ReportRoom(); };
  Start(std::make_shared<layer::LayerStream>(archive, std::move(blobs), std::move(options), std::move(observer)),
        events, info[3].As<Napi::Function>(), "wim:layer");
}

// push(bytes: Uint8Array, cuts: Uint32Array): number of bytes queued
Napi::Value LayerJob::PushPlan(const Napi::CallbackInfo& info) {
  const auto bytes = info[0].As<Napi::Uint8Array>();
  const auto cuts = info[1].As<Napi::Uint32Array>();
  const size_t queued = Open().Push(std::vector<uint8_t>(bytes.Data(), bytes.Data() + bytes.ByteLength()),
                                    std::vector<uint32_t>(cuts.Data(), cuts.Data() + cuts.ElementLength()));
  return Napi::Number::New(info.Env(), static_cast<double>(queued));
}

}  // namespace stowage
