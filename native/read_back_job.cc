#include "read_back_job.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "medium/uncached_file.h"
#include "promise_worker.h"

namespace stowage {

namespace {

// Of [file, offset, size, …] and the hashes one after another: throws a RangeError if they do not fit together.
std::vector<medium::Region> RegionsOf(const Napi::Object& settings, size_t files) {
  const auto numbers = settings.Get("regions").As<Napi::Float64Array>();
  const auto hashes = settings.Get("expected").As<Napi::Uint8Array>();
  const size_t count = numbers.ElementLength() / 3;
  if (hashes.ByteLength() != count * sizeof(Sha256Hash)) throw Napi::RangeError::New(settings.Env(), "not a plan");
  std::vector<medium::Region> regions(count);
  for (size_t n = 0; n < count; n++) {
    medium::Region& region = regions[n];
    if (numbers[3 * n] < 0 || numbers[3 * n] >= static_cast<double>(files))
      throw Napi::RangeError::New(settings.Env(), "no such file");
    region.file = static_cast<uint32_t>(numbers[3 * n]);
    region.offset = static_cast<uint64_t>(numbers[3 * n + 1]);
    region.size = static_cast<uint64_t>(numbers[3 * n + 2]);
    std::copy_n(hashes.Data() + n * sizeof(Sha256Hash), sizeof(Sha256Hash), region.expected.begin());
  }
  return regions;
}

// dropPages(path: string): Promise<boolean>, see medium::DropPages().
Napi::Value DropPages(const Napi::CallbackInfo& info) {
  return PromiseWorker<bool>::Run(
      info.Env(), "drop-pages", [path = info[0].As<Napi::String>().Utf8Value()] { return medium::DropPages(path); },
      [](Napi::Env env, bool& dropped) -> Napi::Value { return Napi::Boolean::New(env, dropped); });
}

}  // namespace

// callback({ room, file, done, result?: { region?, read, found: string, cached }, error? })
struct ReadBackJob::Events : ThreadEvents {
  uint32_t file = 0;
  uint64_t done = 0;
  std::optional<medium::ReadBackResult> result;

  void Describe(Napi::Object event) override {
    event.Set("file", file);
    event.Set("done", static_cast<double>(done));
    if (!result) return;
    Napi::Object object = Napi::Object::New(event.Env());
    object.Set("cached", result->cached);
    if (result->difference) {
      object.Set("region", static_cast<double>(result->difference->region));
      object.Set("read", static_cast<double>(result->difference->read));
      object.Set("found", Hex(result->difference->found));
    }
    event.Set("result", object);
  }
};

void ReadBackJob::Register(Napi::Env env, Napi::Object exports) {
  Define(env, exports, "ReadBack", {});
  exports.Set("dropPages", Napi::Function::New<DropPages>(env, "dropPages"));
}

// new ReadBack({ paths: string[], regions: Float64Array, expected: Buffer }, callback)
ReadBackJob::ReadBackJob(const Napi::CallbackInfo& info) : ThreadJob(info) {
  const auto settings = info[0].As<Napi::Object>();
  const auto list = settings.Get("paths").As<Napi::Array>();
  medium::ReadBackPlan plan;
  plan.paths.reserve(list.Length());
  for (uint32_t n = 0; n < list.Length(); n++) plan.paths.push_back(list.Get(n).As<Napi::String>().Utf8Value());
  plan.regions = RegionsOf(settings, plan.paths.size());

  const auto events = std::make_shared<Events>();
  medium::ReadBack::Observer observer;
  observer.file = [events](uint32_t file) { events->Report([&] { events->file = file; }); };
  observer.progress = [events](uint64_t size) { events->Report([&] { events->done += size; }); };
  Start(std::make_shared<medium::ReadBack>(std::move(plan), std::move(observer)), events, info[1].As<Napi::Function>(),
        "stowage:read-back");
}

}  // namespace stowage
