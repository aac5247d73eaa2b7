#include "content_hash_job.h"

#include <memory>
#include <optional>
#include <utility>

#include "blob_write_job.h"

namespace stowage {

// callback({ room, range, done, result?: { hex, read, plain?: { hex?, failure?: Error } }, error? })
struct ContentHashJob::Events : ThreadEvents {
  uint32_t range = 0;
  uint64_t done = 0;
  std::optional<transfer::Hashed> result;

  void Describe(Napi::Object event) override {
    event.Set("range", range);
    event.Set("done", static_cast<double>(done));
    if (!result) return;
    Napi::Object object = Napi::Object::New(event.Env());
    object.Set("hex", Hex(result->digest));
    object.Set("read", static_cast<double>(result->read));
    if (result->plain) object.Set("plain", PlainOf(event.Env(), *result->plain));
    event.Set("result", object);
  }
};

void ContentHashJob::Register(Napi::Env env, Napi::Object exports) { Define(env, exports, "ContentHash", {}); }

// new ContentHash({ paths: string[], ranges: Float64Array of [offset, size, …], plain }, callback)
ContentHashJob::ContentHashJob(const Napi::CallbackInfo& info) : ThreadJob(info) {
  const auto settings = info[0].As<Napi::Object>();
  const auto paths = settings.Get("paths").As<Napi::Array>();
  const auto numbers = settings.Get("ranges").As<Napi::Float64Array>();
  if (numbers.ElementLength() != size_t{2} * paths.Length()) throw Napi::RangeError::New(info.Env(), "not ranges");
  transfer::Content content;
  content.plain = settings.Get("plain").As<Napi::Boolean>();
  content.ranges.resize(paths.Length());
  for (uint32_t n = 0; n < paths.Length(); n++) {
    transfer::Range& range = content.ranges[n];
    range.path = paths.Get(n).As<Napi::String>().Utf8Value();
    range.offset = static_cast<uint64_t>(numbers[size_t{2} * n]);
    range.size = static_cast<uint64_t>(numbers[size_t{2} * n + 1]);
  }

  const auto events = std::make_shared<Events>();
  transfer::ContentHash::Observer observer;
  observer.range = [events](uint32_t range) { events->Report([&] { events->range = range; }); };
  observer.progress = [events](uint64_t size) { events->Report([&] { events->done += size; }); };
  Start(std::make_shared<transfer::ContentHash>(std::move(content), std::move(observer)), events,
        info[1].As<Napi::Function>(), "stowage:hash");
}

}  // namespace stowage
