#include "recovery_job.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "recovery/galois.h"

namespace stowage {

namespace {

// Bytes of a checksum as JavaScript gets it: MD5, CRC32, and 1 if the block was read.
constexpr size_t kSumSize = 21;

std::vector<std::string> TextsOf(const Napi::Value& value) {
  const auto list = value.As<Napi::Array>();
  std::vector<std::string> texts;
  texts.reserve(list.Length());
  for (uint32_t n = 0; n < list.Length(); n++) texts.push_back(list.Get(n).As<Napi::String>().Utf8Value());
  return texts;
}

// [file, offset, size, …]: throws a RangeError for a file that is not among `files`.
std::vector<recovery::Range> RangesOf(const Napi::Value& value, size_t files) {
  const auto list = value.As<Napi::Float64Array>();
  std::vector<recovery::Range> ranges;
  for (size_t n = 0; n + 2 < list.ElementLength(); n += 3) {
    if (list[n] < 0 || list[n] >= static_cast<double>(files)) throw Napi::RangeError::New(value.Env(), "no such file");
    ranges.push_back(
        {static_cast<uint32_t>(list[n]), static_cast<uint64_t>(list[n + 1]), static_cast<uint64_t>(list[n + 2])});
  }
  return ranges;
}

std::vector<uint32_t> NumbersOf(const Napi::Value& value, size_t below) {
  const auto list = value.As<Napi::Uint32Array>();
  std::vector<uint32_t> numbers(list.Data(), list.Data() + list.ElementLength());
  for (const uint32_t number : numbers) {
    if (number >= below) throw Napi::RangeError::New(value.Env(), "no such block");
  }
  return numbers;
}

uint64_t SizeOf(const Napi::Value& value) { return static_cast<uint64_t>(value.As<Napi::Number>().Int64Value()); }

Napi::Value ToBuffer(Napi::Env env, const std::vector<recovery::BlockSum>& sums) {
  const auto buffer = Napi::Buffer<uint8_t>::New(env, sums.size() * kSumSize);
  uint8_t* to = buffer.Data();
  for (const recovery::BlockSum& sum : sums) {
    to = std::copy(sum.md5.begin(), sum.md5.end(), to);
    for (int n = 0; n < 4; n++) *to++ = static_cast<uint8_t>(sum.crc32 >> (8 * n));
    *to++ = sum.read ? 1 : 0;
  }
  return buffer;
}

Napi::Value ToBuffer(Napi::Env env, const std::vector<recovery::Md5Hash>& hashes) {
  const auto buffer = Napi::Buffer<uint8_t>::New(env, hashes.size() * sizeof(recovery::Md5Hash));
  uint8_t* to = buffer.Data();
  for (const recovery::Md5Hash& hash : hashes) to = std::copy(hash.begin(), hash.end(), to);
  return buffer;
}

}  // namespace

// callback({ room, done, result?: Buffer, error? })
struct RecoveryCheck::Events : ThreadEvents {
  uint64_t done = 0;
  std::optional<std::vector<recovery::BlockSum>> result;

  void Describe(Napi::Object event) override {
    event.Set("done", static_cast<double>(done));
    if (result) event.Set("result", ToBuffer(event.Env(), *result));
  }
};

void RecoveryCheck::Register(Napi::Env env, Napi::Object exports) { Define(env, exports, "RecoveryCheck", {}); }

// new RecoveryCheck({ paths, ranges, blockSize, threads }, callback)
RecoveryCheck::RecoveryCheck(const Napi::CallbackInfo& info) : ThreadJob(info) {
  const auto settings = info[0].As<Napi::Object>();
  recovery::CheckPlan plan;
  plan.paths = TextsOf(settings.Get("paths"));
  plan.ranges = RangesOf(settings.Get("ranges"), plan.paths.size());
  plan.block_size = SizeOf(settings.Get("blockSize"));
  plan.threads = settings.Get("threads").As<Napi::Number>().Uint32Value();

  const auto events = std::make_shared<Events>();
  const auto progress = [events](uint64_t bytes) { events->Report([&] { events->done += bytes; }); };
  Start(std::make_shared<recovery::BlockCheck>(std::move(plan), progress), events, info[1].As<Napi::Function>(),
        "stowage:recovery-check");
}

// callback({ room, done, total, result?: { blocks: Buffer, files: Buffer, packets: Buffer }, error? })
struct RecoveryCode::Events : ThreadEvents {
  uint64_t done = 0;
  uint64_t total = 0;
  std::optional<recovery::CodeResult> result;

  void Describe(Napi::Object event) override {
    const Napi::Env env = event.Env();
    event.Set("done", static_cast<double>(done));
    event.Set("total", static_cast<double>(total));
    if (!result) return;
    Napi::Object object = Napi::Object::New(env);
    object.Set("blocks", ToBuffer(env, result->blocks));
    object.Set("files", ToBuffer(env, result->files));
    object.Set("packets", ToBuffer(env, result->packets));
    event.Set("result", object);
  }
};

void RecoveryCode::Register(Napi::Env env, Napi::Object exports) { Define(env, exports, "RecoveryCode", {}); }

// new RecoveryCode({ paths, targets, blockSize, blocks, numbers, exponents, recovery, missing, outputs, head: Buffer,
// memory, threads }, callback)
RecoveryCode::RecoveryCode(const Napi::CallbackInfo& info) : ThreadJob(info) {
  const auto settings = info[0].As<Napi::Object>();
  recovery::CodePlan plan;
  plan.paths = TextsOf(settings.Get("paths"));
  plan.targets = TextsOf(settings.Get("targets"));
  plan.block_size = SizeOf(settings.Get("blockSize"));
  plan.blocks = RangesOf(settings.Get("blocks"), plan.paths.size());
  plan.numbers = NumbersOf(settings.Get("numbers"), recovery::kMostBlocks);
  plan.exponents = NumbersOf(settings.Get("exponents"), 65536);
  plan.recovery = RangesOf(settings.Get("recovery"), plan.paths.size());
  plan.missing = NumbersOf(settings.Get("missing"), recovery::kMostBlocks);
  plan.outputs = RangesOf(settings.Get("outputs"), plan.targets.size());
  const auto head = settings.Get("head").As<Napi::Uint8Array>();
  std::copy_n(head.Data(), std::min(head.ByteLength(), plan.head.size()), plan.head.begin());
  plan.memory = SizeOf(settings.Get("memory"));
  plan.threads = settings.Get("threads").As<Napi::Number>().Uint32Value();
  const bool repairs = !plan.missing.empty();
  const bool sound =
      plan.block_size > 0 && plan.block_size % 4 == 0 && plan.numbers.size() == plan.blocks.size() &&
      plan.outputs.size() == (repairs ? plan.missing : plan.exponents).size() &&
      (!repairs || (plan.recovery.size() == plan.exponents.size() && plan.missing.size() <= plan.exponents.size() &&
                    plan.missing.size() <= recovery::Coder::kMostMissing));
  if (!sound) throw Napi::RangeError::New(info.Env(), "not a plan");

  const auto events = std::make_shared<Events>();
  const auto progress = [events](uint64_t done, uint64_t total) {
    events->Report([&] {
      events->done = done;
      events->total = total;
    });
  };
  Start(std::make_shared<recovery::Coder>(std::move(plan), progress), events, info[1].As<Napi::Function>(),
        "stowage:recovery-code");
}

}  // namespace stowage
