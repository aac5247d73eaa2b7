#include "layer_reader.h"

#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "addon_data.h"
#include "promise_worker.h"

// What happened since JavaScript last looked, as LayerJob has it: one call is under way at a time, and takes all.
struct LayerReader::Events : std::enable_shared_from_this<LayerReader::Events> {
  std::mutex mutex;
  bool called = false;
  bool room = false;
  std::optional<wim::LayerScanResult> result;
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

  // callback(room: boolean, result?: object, error?: Error)
  void Tell(Napi::Env env, Napi::Function callback) {
    if (static_cast<napi_env>(env) == nullptr || callback.IsEmpty()) return;
    std::vector<napi_value> arguments;
    {
      std::lock_guard<std::mutex> lock(mutex);
      called = false;
      arguments = {Napi::Boolean::New(env, std::exchange(room, false)), Result(env), Error(env)};
    }
    callback.Call(arguments);
  }

  Napi::Value Result(Napi::Env env) {
    if (!result) return env.Undefined();
    const wim::LayerFacts& facts = result->facts;
    const char* const compressions[] = {"none", "gzip", "zstd"};
    Napi::Object object = Napi::Object::New(env);
    object.Set("compression", compressions[static_cast<size_t>(facts.compression)]);
    object.Set("digest", wim::Hex(facts.digest));
    object.Set("diffId", wim::Hex(facts.diff_id));
    object.Set("size", static_cast<double>(facts.size));
    object.Set("uncompressedSize", static_cast<double>(facts.uncompressed_size));
    object.Set("globals", static_cast<double>(result->globals));
    return object;
  }

  Napi::Value Error(Napi::Env env) {
    if (!failure) return env.Undefined();
    return ToJavaScript(env, *failure).Value();
  }
};

void LayerReader::Register(Napi::Env env, Napi::Object exports) {
  Napi::Function constructor = DefineClass(env, "LayerReader",
                                           {
                                               InstanceMethod<&LayerReader::Push>("push"),
                                               InstanceMethod<&LayerReader::Finish>("finish"),
                                               InstanceMethod<&LayerReader::Take>("take"),
                                               InstanceMethod<&LayerReader::Cancel>("cancel"),
                                               InstanceMethod<&LayerReader::Close>("close"),
                                           });
  AddonData::Of(env).layer_reader = Napi::Persistent(constructor);
  exports.Set("LayerReader", constructor);
}

// new LayerReader({ name, hash, headSize }, callback)
LayerReader::LayerReader(const Napi::CallbackInfo& info) : Napi::ObjectWrap<LayerReader>(info) {
  const Napi::Env env = info.Env();
  const auto settings = info[0].As<Napi::Object>();
  wim::LayerScanOptions options;
  options.name = settings.Get("name").As<Napi::String>().Utf8Value();
  options.hash = settings.Get("hash").As<Napi::Boolean>();
  options.head_size = settings.Get("headSize").As<Napi::Number>().Uint32Value();

  events_ = std::make_shared<Events>();
  events_->function = Napi::ThreadSafeFunction::New(env, info[1].As<Napi::Function>(), "wim:read-layer", 0, 1);
  queue_ =
      std::make_shared<wim::ByteQueue>([events = events_.get()] { events->Report([events] { events->room = true; }); });
  scan_ =
      std::make_shared<wim::LayerScan>(queue_, std::move(options), [events = events_.get()] { events->Report([] {}); });
  try {
    thread_ = std::thread([scan = scan_, events = events_] {
      try {
        const wim::LayerScanResult result = scan->Run();
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

LayerReader::~LayerReader() { Close(); }

void LayerReader::Close() {
  if (thread_.joinable()) {
    napi_remove_env_cleanup_hook(Env(), StopAtExit, this);
    Stop();
  }
  scan_.reset();
  queue_.reset();
}

void LayerReader::Stop() {
  scan_->Cancel();
  thread_.join();
}

void LayerReader::StopAtExit(void* reader) { static_cast<LayerReader*>(reader)->Stop(); }

// push(bytes: Buffer): number of bytes queued
Napi::Value LayerReader::Push(const Napi::CallbackInfo& info) {
  const auto bytes = info[0].As<Napi::Uint8Array>();
  if (!queue_) throw ToJavaScript(info.Env(), wim::Error("WIM_CLOSED", "this reader is closed"));
  const size_t queued = queue_->Push(std::vector<uint8_t>(bytes.Data(), bytes.Data() + bytes.ByteLength()));
  return Napi::Number::New(info.Env(), static_cast<double>(queued));
}

Napi::Value LayerReader::Finish(const Napi::CallbackInfo& info) {
  if (queue_) queue_->Finish();
  return info.Env().Undefined();
}

// take(): Buffer of entries, or undefined where none is ready
Napi::Value LayerReader::Take(const Napi::CallbackInfo& info) {
  std::vector<uint8_t> batch;
  if (!scan_ || !scan_->Take(&batch)) return info.Env().Undefined();
  return Napi::Buffer<uint8_t>::Copy(info.Env(), batch.data(), batch.size());
}

Napi::Value LayerReader::Cancel(const Napi::CallbackInfo& info) {
  if (scan_) scan_->Cancel();
  return info.Env().Undefined();
}

Napi::Value LayerReader::Close(const Napi::CallbackInfo& info) {
  Close();
  return info.Env().Undefined();
}
