#include "layer_job.h"

#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "addon_data.h"
#include "promise_worker.h"
#include "wim_file.h"

namespace {

wim::LayerCompression CompressionOf(const std::string& type) {
  if (type == "gzip") return wim::LayerCompression::kGzip;
  return type == "zstd" ? wim::LayerCompression::kZstd : wim::LayerCompression::kNone;
}

}  // namespace

// What happened since JavaScript last looked. One call is under way at a time, however often the thread reports: events
// are gathered here, and the call takes them all.
struct LayerJob::Events : std::enable_shared_from_this<LayerJob::Events> {
  std::mutex mutex;
  bool called = false;
  bool room = false;
  uint64_t uncompressed = 0;
  uint64_t written = 0;
  std::optional<wim::LayerResult> result;
  std::optional<wim::Error> failure;
  Napi::ThreadSafeFunction function;

  template <typename Change>
  void Report(Change change) {
    std::lock_guard<std::mutex> lock(mutex);
    change();
    if (called) return;
    called = true;
    auto self = shared_from_this();
    // Closing: the environment ends, and nobody is left to tell.
    function.NonBlockingCall([self](Napi::Env env, Napi::Function callback) { self->Tell(env, callback); });
  }

  // callback(room: boolean, uncompressed: number, written: number, result?: object, error?: Error)
  void Tell(Napi::Env env, Napi::Function callback) {
    if (static_cast<napi_env>(env) == nullptr || callback.IsEmpty()) return;
    std::vector<napi_value> arguments;
    {
      std::lock_guard<std::mutex> lock(mutex);
      called = false;
      arguments = {Napi::Boolean::New(env, std::exchange(room, false)),
                   Napi::Number::New(env, static_cast<double>(uncompressed)),
                   Napi::Number::New(env, static_cast<double>(written)), Result(env), Error(env)};
    }
    callback.Call(arguments);
  }

  Napi::Value Result(Napi::Env env) {
    if (!result) return env.Undefined();
    Napi::Object object = Napi::Object::New(env);
    object.Set("diffId", wim::Hex(result->diff_id));
    object.Set("digest", wim::Hex(result->digest));
    object.Set("uncompressedSize", static_cast<double>(result->uncompressed_size));
    object.Set("size", static_cast<double>(result->size));
    return object;
  }

  Napi::Value Error(Napi::Env env) {
    if (!failure) return env.Undefined();
    return ToJavaScript(env, *failure).Value();
  }
};

void LayerJob::Register(Napi::Env env, Napi::Object exports) {
  Napi::Function constructor = DefineClass(env, "LayerJob",
                                           {
                                               InstanceMethod<&LayerJob::Push>("push"),
                                               InstanceMethod<&LayerJob::Finish>("finish"),
                                               InstanceMethod<&LayerJob::Cancel>("cancel"),
                                               InstanceMethod<&LayerJob::Close>("close"),
                                           });
  AddonData::Of(env).layer_job = Napi::Persistent(constructor);
  exports.Set("LayerJob", constructor);
}

// new LayerJob(wim: WimFile | undefined, blobs: Uint32Array, { path, offset, compression, level, threads }, callback)
LayerJob::LayerJob(const Napi::CallbackInfo& info) : Napi::ObjectWrap<LayerJob>(info) {
  const Napi::Env env = info.Env();
  const auto archive = info[0].IsUndefined() ? nullptr : WimFile::ArchiveOf(info[0]);
  const auto list = info[1].As<Napi::Uint32Array>();
  std::vector<uint32_t> blobs(list.Data(), list.Data() + list.ElementLength());
  for (const uint32_t blob : blobs) {
    if (!archive || blob >= archive->blobs().blobs().size()) throw Napi::RangeError::New(env, "no such blob");
  }
  const auto settings = info[2].As<Napi::Object>();
  wim::LayerOptions options;
  options.path = settings.Get("path").As<Napi::String>().Utf8Value();
  options.offset = static_cast<uint64_t>(settings.Get("offset").As<Napi::Number>().Int64Value());
  options.compression = CompressionOf(settings.Get("compression").As<Napi::String>().Utf8Value());
  options.level = settings.Get("level").As<Napi::Number>().Int32Value();
  options.threads = settings.Get("threads").As<Napi::Number>().Uint32Value();

  events_ = std::make_shared<Events>();
  events_->function = Napi::ThreadSafeFunction::New(env, info[3].As<Napi::Function>(), "wim:layer", 0, 1);
  const auto report = [events = events_](auto change) { events->Report(change); };
  wim::LayerStream::Observer observer;
  observer.progress = [report, events = events_.get()](uint64_t uncompressed, uint64_t written) {
    report([=] {
      events->uncompressed = uncompressed;
      events->written = written;
    });
  };
  observer.room = [report, events = events_.get()] { report([=] { events->room = true; }); };
  stream_ = std::make_shared<wim::LayerStream>(archive, std::move(blobs), std::move(options), std::move(observer));

  try {
    thread_ = std::thread([stream = stream_, events = events_] {
      try {
        const wim::LayerResult result = stream->Run();
        events->Report([&] { events->result = result; });
      } catch (...) {
        const wim::Error error = CurrentError();
        events->Report([&] { events->failure = error; });
      }
      events->function.Release();
    });
  } catch (const std::exception& error) {
    events_->function.Release();
    throw ToJavaScript(env, wim::Error("WIM_ERROR", std::string("cannot start a thread: ") + error.what()));
  }
  // Hooks run last in, first out: the thread ends before Node takes the function away that it calls.
  napi_add_env_cleanup_hook(env, StopAtExit, this);
}

LayerJob::~LayerJob() { Close(); }

// Cancels what still runs, waits for it, and lets go of the WIM.
void LayerJob::Close() {
  if (thread_.joinable()) {
    napi_remove_env_cleanup_hook(Env(), StopAtExit, this);
    Stop();
  }
  stream_.reset();
}

void LayerJob::Stop() {
  stream_->Cancel();
  thread_.join();
}

void LayerJob::StopAtExit(void* job) { static_cast<LayerJob*>(job)->Stop(); }

// push(bytes: Buffer, cuts: Uint32Array): number of bytes queued
Napi::Value LayerJob::Push(const Napi::CallbackInfo& info) {
  const auto bytes = info[0].As<Napi::Buffer<uint8_t>>();
  const auto cuts = info[1].As<Napi::Uint32Array>();
  if (!stream_) throw ToJavaScript(info.Env(), wim::Error("WIM_CLOSED", "this job is closed"));
  const size_t queued = stream_->Push(std::vector<uint8_t>(bytes.Data(), bytes.Data() + bytes.Length()),
                                      std::vector<uint32_t>(cuts.Data(), cuts.Data() + cuts.ElementLength()));
  return Napi::Number::New(info.Env(), static_cast<double>(queued));
}

Napi::Value LayerJob::Finish(const Napi::CallbackInfo& info) {
  if (stream_) stream_->Finish();
  return info.Env().Undefined();
}

Napi::Value LayerJob::Cancel(const Napi::CallbackInfo& info) {
  if (stream_) stream_->Cancel();
  return info.Env().Undefined();
}

Napi::Value LayerJob::Close(const Napi::CallbackInfo& info) {
  Close();
  return info.Env().Undefined();
}
