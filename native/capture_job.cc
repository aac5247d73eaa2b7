#include "capture_job.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "addon_data.h"
#include "promise_worker.h"

namespace {

// Told but not taken yet, in bytes: the thread waits while there are more.
constexpr size_t kMostTold = 256u << 10;

std::vector<uint8_t> Copy(const Napi::Value& value) {
  const auto bytes = value.As<Napi::Uint8Array>();
  return std::vector<uint8_t>(bytes.Data(), bytes.Data() + bytes.ByteLength());
}

std::vector<std::vector<uint8_t>> CopyAll(const Napi::Value& value) {
  const auto list = value.As<Napi::Array>();
  std::vector<std::vector<uint8_t>> all;
  for (uint32_t i = 0; i < list.Length(); i++) all.push_back(Copy(list.Get(i)));
  return all;
}

const char* Name(wim::LayerCompression compression) {
  switch (compression) {
    case wim::LayerCompression::kNone: return "none";
    case wim::LayerCompression::kGzip: return "gzip";
    case wim::LayerCompression::kZstd: return "zstd";
  }
  return "none";
}

}  // namespace

// What happened since JavaScript last looked. One call is under way at a time, however often the thread reports: events
// are gathered here, and the call takes them all.
struct CaptureJob::Events : std::enable_shared_from_this<CaptureJob::Events> {
  std::mutex mutex;
  std::condition_variable taken;
  bool called = false;
  bool stopped = false;
  bool room = false;
  uint64_t read = 0;
  uint64_t written = 0;
  std::deque<std::vector<uint8_t>> batches;
  size_t told = 0;
  std::optional<wim::LayerScanResult> layer;
  std::optional<uint64_t> result;
  std::optional<wim::Error> failure;
  Napi::ThreadSafeFunction function;

  template <typename Change>
  void Report(Change change) {
    std::lock_guard<std::mutex> lock(mutex);
    change();
    if (!called) {
      called = true;
      auto self = shared_from_this();
      // Closing: the environment ends, and nobody is left to tell.
      function.NonBlockingCall([self](Napi::Env env, Napi::Function callback) { self->Tell(env, callback); });
    }
  }

  // Waits while too much is told and not taken.
  void WaitUntilTaken() {
    std::unique_lock<std::mutex> lock(mutex);
    taken.wait(lock, [this] { return stopped || told < kMostTold; });
  }

  std::vector<uint8_t> Take() {
    std::lock_guard<std::mutex> lock(mutex);
    if (batches.empty()) return {};
    std::vector<uint8_t> batch = std::move(batches.front());
    batches.pop_front();
    told -= batch.size();
    taken.notify_all();
    return batch;
  }

  void Stop() {
    std::lock_guard<std::mutex> lock(mutex);
    stopped = true;
    taken.notify_all();
  }

  // callback({ room, read, written, layer?, size?, error? })
  void Tell(Napi::Env env, Napi::Function callback) {
    if (static_cast<napi_env>(env) == nullptr || callback.IsEmpty()) return;
    Napi::Object event = Napi::Object::New(env);
    {
      std::lock_guard<std::mutex> lock(mutex);
      called = false;
      event.Set("room", std::exchange(room, false));
      event.Set("read", static_cast<double>(read));
      event.Set("written", static_cast<double>(written));
      if (layer) event.Set("layer", Facts(env, *std::exchange(layer, std::nullopt)));
      if (result) event.Set("size", static_cast<double>(*result));
      if (failure) event.Set("error", ToJavaScript(env, *failure).Value());
    }
    callback.Call({event});
  }

  static Napi::Value Facts(Napi::Env env, const wim::LayerScanResult& layer) {
    const wim::LayerFacts& facts = layer.facts;
    Napi::Object object = Napi::Object::New(env);
    object.Set("digest", wim::Hex(facts.digest));
    object.Set("diffId", wim::Hex(facts.diff_id));
    object.Set("size", static_cast<double>(facts.size));
    object.Set("uncompressedSize", static_cast<double>(facts.uncompressed_size));
    object.Set("compression", Name(facts.compression));
    object.Set("globals", static_cast<double>(layer.globals));
    return object;
  }
};

void CaptureJob::Register(Napi::Env env, Napi::Object exports) {
  Napi::Function constructor = DefineClass(env, "CaptureJob",
                                           {
                                               InstanceMethod<&CaptureJob::Begin>("begin"),
                                               InstanceMethod<&CaptureJob::Push>("push"),
                                               InstanceMethod<&CaptureJob::Finish>("finish"),
                                               InstanceMethod<&CaptureJob::Take>("take"),
                                               InstanceMethod<&CaptureJob::Seal>("seal"),
                                               InstanceMethod<&CaptureJob::Cancel>("cancel"),
                                               InstanceMethod<&CaptureJob::Close>("close"),
                                           });
  AddonData::Of(env).capture_job = Napi::Persistent(constructor);
  exports.Set("CaptureJob", constructor);
}

// new CaptureJob({ path, compression, level, threads, integrityTable } , callback)
CaptureJob::CaptureJob(const Napi::CallbackInfo& info) : Napi::ObjectWrap<CaptureJob>(info) {
  const Napi::Env env = info.Env();
  wim::WimWriterOptions options;
  const auto settings = info[0].As<Napi::Object>();
  options.path = settings.Get("path").As<Napi::String>().Utf8Value();
  options.compression = settings.Get("compression").As<Napi::Number>().Int32Value();
  options.level = settings.Get("level").As<Napi::Number>().Uint32Value();
  options.threads = settings.Get("threads").As<Napi::Number>().Uint32Value();
  options.integrity_table = settings.Get("integrityTable").ToBoolean();
  events_ = std::make_shared<Events>();
  events_->function = Napi::ThreadSafeFunction::New(env, info[1].As<Napi::Function>(), "wim:capture", 0, 1);
  const auto report = [events = events_](auto change) { events->Report(change); };
  wim::LayerCapture::Observer observer;
  observer.told = [report, events = events_.get()](std::vector<uint8_t> batch) {
    report([&] {
      events->told += batch.size();
      events->batches.push_back(std::move(batch));
    });
    events->WaitUntilTaken();
  };
  observer.room = [report, events = events_.get()] { report([=] { events->room = true; }); };
  observer.progress = [report, events = events_.get()](uint64_t read, uint64_t written) {
    report([=] {
      events->read = read;
      events->written = written;
    });
  };
  observer.layer = [report, events = events_.get()](const wim::LayerScanResult& layer) {
    report([&] { events->layer = layer; });
  };
  capture_ = std::make_shared<wim::LayerCapture>(std::move(options), std::move(observer));

  try {
    thread_ = std::thread([capture = capture_, events = events_] {
      try {
        const uint64_t size = capture->Run();
        events->Report([&] { events->result = size; });
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

CaptureJob::~CaptureJob() { Close(); }

// Cancels what still runs, waits for it, and lets go of the file.
void CaptureJob::Close() {
  if (thread_.joinable()) {
    napi_remove_env_cleanup_hook(Env(), StopAtExit, this);
    Stop();
  }
  capture_.reset();
}

void CaptureJob::Stop() {
  capture_->Cancel();
  events_->Stop();
  thread_.join();
}

void CaptureJob::StopAtExit(void* job) { static_cast<CaptureJob*>(job)->Stop(); }

wim::LayerCapture& CaptureJob::Capture(Napi::Env env) {
  if (!capture_) throw ToJavaScript(env, wim::Error("WIM_CLOSED", "this job is closed"));
  return *capture_;
}

// begin(where: string, { keep?: Uint8Array, roots: string[] })
Napi::Value CaptureJob::Begin(const Napi::CallbackInfo& info) {
  const auto settings = info[1].As<Napi::Object>();
  wim::CaptureLayer layer;
  layer.where = info[0].As<Napi::String>().Utf8Value();
  if (const Napi::Value keep = settings.Get("keep"); keep.IsTypedArray()) layer.keep = Copy(keep);
  const auto roots = settings.Get("roots").As<Napi::Array>();
  for (uint32_t i = 0; i < roots.Length(); i++) layer.roots.push_back(roots.Get(i).As<Napi::String>().Utf8Value());
  Capture(info.Env()).Begin(std::move(layer));
  return info.Env().Undefined();
}

// push(bytes: Uint8Array): number of bytes queued
Napi::Value CaptureJob::Push(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(Capture(info.Env()).Push(Copy(info[0]))));
}

Napi::Value CaptureJob::Finish(const Napi::CallbackInfo& info) {
  if (capture_) capture_->Finish();
  return info.Env().Undefined();
}

// seal({ blobs: Uint8Array[], images: Uint8Array[], xml: string })
Napi::Value CaptureJob::Seal(const Napi::CallbackInfo& info) {
  const auto settings = info[0].As<Napi::Object>();
  Capture(info.Env())
      .Seal({CopyAll(settings.Get("blobs")), CopyAll(settings.Get("images")),
             settings.Get("xml").As<Napi::String>().Utf8Value()});
  return info.Env().Undefined();
}

// take(): Buffer, or undefined where nothing is ready
Napi::Value CaptureJob::Take(const Napi::CallbackInfo& info) {
  const std::vector<uint8_t> batch = events_->Take();
  if (batch.empty()) return info.Env().Undefined();
  return Napi::Buffer<uint8_t>::Copy(info.Env(), batch.data(), batch.size());
}

Napi::Value CaptureJob::Cancel(const Napi::CallbackInfo& info) {
  if (capture_) capture_->Cancel();
  events_->Stop();
  return info.Env().Undefined();
}

Napi::Value CaptureJob::Close(const Napi::CallbackInfo& info) {
  Close();
  return info.Env().Undefined();
}
