#include "wim_file.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "addon_data.h"
#include "dentry_reader.h"
#include "promise_worker.h"

namespace {

using ArchivePointer = std::shared_ptr<const wim::Archive>;

// Position of each blob when all are sorted by where they stand in the files: the order in which reading is fastest.
std::vector<uint32_t> RanksOf(const wim::BlobTable& table) {
  std::map<const wim::File*, size_t> files;
  for (const wim::Resource& resource : table.resources()) files.emplace(resource.file, files.size());
  const auto& blobs = table.blobs();
  std::vector<uint32_t> order(blobs.size());
  for (uint32_t i = 0; i < order.size(); i++) order[i] = i;
  const auto place = [&](uint32_t index) {
    const wim::Blob& blob = blobs[index];
    const wim::Resource& resource = table.resources()[blob.resource];
    return std::make_tuple(files.at(resource.file), resource.offset, blob.offset, index);
  };
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return place(a) < place(b); });
  std::vector<uint32_t> ranks(blobs.size());
  for (uint32_t rank = 0; rank < order.size(); rank++) ranks[order[rank]] = rank;
  return ranks;
}

}  // namespace

void WimFile::Register(Napi::Env env, Napi::Object exports) {
  Napi::Function constructor = DefineClass(env, "WimFile",
                                           {
                                               InstanceMethod<&WimFile::Info>("info"),
                                               InstanceMethod<&WimFile::Xml>("xml"),
                                               InstanceMethod<&WimFile::Property>("property"),
                                               InstanceMethod<&WimFile::Blobs>("blobs"),
                                               InstanceMethod<&WimFile::ReadMetadata>("readMetadata"),
                                               InstanceMethod<&WimFile::Close>("close"),
                                           });
  AddonData::Of(env).wim_file = Napi::Persistent(constructor);
  exports.Set("openWim", Napi::Function::New<&WimFile::Open>(env, "openWim"));
}

// openWim(paths: string[]): Promise<WimFile>
Napi::Value WimFile::Open(const Napi::CallbackInfo& info) {
  const auto list = info[0].As<Napi::Array>();
  std::vector<std::string> paths;
  for (uint32_t i = 0; i < list.Length(); i++) paths.push_back(list.Get(i).As<Napi::String>().Utf8Value());
  return PromiseWorker<ArchivePointer>::Run(
      info.Env(), "wim:open", [paths] { return ArchivePointer(wim::Archive::Open(paths)); },
      [](Napi::Env env, ArchivePointer& archive) -> Napi::Value {
        return AddonData::Of(env).wim_file.New({Napi::External<ArchivePointer>::New(env, &archive)});
      });
}

WimFile::WimFile(const Napi::CallbackInfo& info) : Napi::ObjectWrap<WimFile>(info) {
  if (info.Length() != 1 || !info[0].IsExternal()) {
    throw Napi::TypeError::New(info.Env(), "WimFile is made by openWim()");
  }
  archive_ = *info[0].As<Napi::External<ArchivePointer>>().Data();
}

ArchivePointer WimFile::ArchiveOf(const Napi::Value& value) {
  const Napi::Env env = value.Env();
  if (!value.IsObject() || !value.As<Napi::Object>().InstanceOf(AddonData::Of(env).wim_file.Value())) {
    throw Napi::TypeError::New(env, "expected a WimFile");
  }
  ArchivePointer archive = Unwrap(value.As<Napi::Object>())->archive_;
  if (!archive) throw ToJavaScript(env, wim::Error("WIM_CLOSED", "this WIM is closed"));
  return archive;
}

Napi::Value WimFile::Info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const ArchivePointer archive = ArchiveOf(info.This());
  const wim::ArchiveInfo& facts = archive->info();
  Napi::Object result = Napi::Object::New(env);
  result.Set("imageCount", facts.header.image_count);
  result.Set("compression", facts.header.compression);
  const bool compressed = facts.header.compression != WIMLIB_COMPRESSION_TYPE_NONE;
  result.Set("chunkSize", compressed ? facts.header.chunk_size : 0);
  result.Set("bootIndex", facts.boot_index);
  result.Set("guid", Napi::Buffer<uint8_t>::Copy(env, facts.header.guid.data(), facts.header.guid.size()));
  result.Set("part", static_cast<uint32_t>(facts.header.part));
  result.Set("totalParts", static_cast<uint32_t>(facts.header.total_parts));
  result.Set("pipable", facts.header.pipable);
  const auto& resources = archive->blobs().resources();
  result.Set("solid", std::any_of(resources.begin(), resources.end(), [](const wim::Resource& r) { return r.solid; }));
  result.Set("integrityTable", facts.has_integrity_table);
  result.Set("readonly", facts.readonly);
  result.Set("rpfix", facts.rpfix);
  result.Set("size", static_cast<double>(facts.size));
  return result;
}

Napi::Value WimFile::Xml(const Napi::CallbackInfo& info) {
  try {
    const std::vector<uint8_t> xml = ArchiveOf(info.This())->Xml();
    return Napi::Buffer<uint8_t>::Copy(info.Env(), xml.data(), xml.size());
  } catch (const wim::Error& error) {
    throw ToJavaScript(info.Env(), error);
  }
}

// property(image: number, name: string): string | undefined
Napi::Value WimFile::Property(const Napi::CallbackInfo& info) {
  const auto value = ArchiveOf(info.This())->Property(info[0].As<Napi::Number>(), info[1].As<Napi::String>());
  return value ? Napi::String::New(info.Env(), *value) : info.Env().Undefined();
}

// blobs(): { hashes: Buffer (20 bytes each), sizes: Float64Array, ranks: Uint32Array }, one element a blob.
Napi::Value WimFile::Blobs(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const ArchivePointer archive = ArchiveOf(info.This());
  const auto& blobs = archive->blobs().blobs();
  const std::vector<uint32_t> order = RanksOf(archive->blobs());
  auto hashes = Napi::Buffer<uint8_t>::New(env, blobs.size() * sizeof(wim::Sha1Hash));
  auto sizes = Napi::Float64Array::New(env, blobs.size());
  auto ranks = Napi::Uint32Array::New(env, blobs.size());
  for (size_t i = 0; i < blobs.size(); i++) {
    std::memcpy(hashes.Data() + i * sizeof(wim::Sha1Hash), blobs[i].hash.data(), sizeof(wim::Sha1Hash));
    sizes[i] = static_cast<double>(blobs[i].size);
    ranks[i] = order[i];
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("hashes", hashes);
  result.Set("sizes", sizes);
  result.Set("ranks", ranks);
  return result;
}

// readMetadata(image: number): Promise<DentryReader>
Napi::Value WimFile::ReadMetadata(const Napi::CallbackInfo& info) {
  const ArchivePointer archive = ArchiveOf(info.This());
  const uint32_t image = info[0].As<Napi::Number>();
  return PromiseWorker<ImageMetadata>::Run(
      info.Env(), "wim:metadata",
      [archive, image] {
        return ImageMetadata{archive, std::make_shared<wim::Metadata>(archive->ReadMetadata(image))};
      },
      [](Napi::Env env, ImageMetadata& metadata) { return DentryReader::New(env, metadata); });
}

Napi::Value WimFile::Close(const Napi::CallbackInfo& info) {
  archive_.reset();
  return info.Env().Undefined();
}
