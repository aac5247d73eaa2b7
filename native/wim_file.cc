#include "wim_file.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "addon_data.h"
#include "convert.h"
#include "dentry_reader.h"
#include "promise_worker.h"
#include "wim/text.h"

namespace stowage {

namespace {

using WimPointer = std::shared_ptr<const wim::OpenWim>;

// Position of each blob when all are sorted by their offsets in the files: the order in which reading is fastest.
std::vector<uint32_t> RanksOf(const wim::BlobTable& table) {
  std::map<const File*, size_t> files;
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

void WimFile::Register(Napi::Env env) {
  Napi::Function constructor = DefineClass(env, "WimFile",
                                           {
                                               InstanceMethod<&WimFile::Info>("info"),
                                               InstanceMethod<&WimFile::Paths>("paths"),
                                               InstanceMethod<&WimFile::IsOpened>("isOpened"),
                                               InstanceMethod<&WimFile::Property>("property"),
                                               InstanceMethod<&WimFile::Xml>("xml"),
                                               InstanceMethod<&WimFile::Blobs>("blobs"),
                                               InstanceMethod<&WimFile::FindBlob>("findBlob"),
                                               InstanceMethod<&WimFile::ReadMetadata>("readMetadata"),
                                               InstanceMethod<&WimFile::Close>("close"),
                                           });
  AddonData::Of(env).wim_file = Napi::Persistent(constructor);
}

WimFile::WimFile(const Napi::CallbackInfo& info) : Napi::ObjectWrap<WimFile>(info) {
  if (info.Length() != 1 || !info[0].IsExternal()) {
    throw Napi::TypeError::New(info.Env(), "a WimFile is made by opening or creating a WIM");
  }
  wim_ = *info[0].As<Napi::External<WimPointer>>().Data();
}

Napi::Object WimFile::New(Napi::Env env, WimPointer wim) {
  return AddonData::Of(env).wim_file.New({Napi::External<WimPointer>::New(env, &wim)});
}

bool WimFile::Is(const Napi::Value& value) {
  return value.IsObject() && value.As<Napi::Object>().InstanceOf(AddonData::Of(value.Env()).wim_file.Value());
}

WimPointer WimFile::WimOf(const Napi::Value& value) {
  if (!Is(value)) throw Napi::TypeError::New(value.Env(), "expected a WimFile");
  WimPointer wim = Unwrap(value.As<Napi::Object>())->wim_;
  if (!wim) throw ToJavaScript(value.Env(), Error("WIM_CLOSED", "this WIM is closed"));
  return wim;
}

std::shared_ptr<const wim::Archive> WimFile::ArchiveOf(const Napi::Value& value) {
  const WimPointer wim = WimOf(value);
  if (!wim->archive) {
    throw ToJavaScript(value.Env(),
                       Error("INVALID_ARGUMENT", "this WIM is not a file yet: write it, then open the file"));
  }
  return wim->archive;
}

// The WIM as libwim has it in memory, changes included. Waits for a running operation.
Napi::Value WimFile::Info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const WimPointer wim = WimOf(info.This());
  wimlib_wim_info facts;
  try {
    facts = wim::InfoOf(*wim);
  } catch (const Error& error) {
    throw ToJavaScript(env, error);
  }
  bool solid = false;
  if (wim->archive) {
    const auto& resources = wim->archive->blobs().resources();
    solid = std::any_of(resources.begin(), resources.end(), [](const wim::Resource& r) { return r.solid; });
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("imageCount", facts.image_count);
  result.Set("compression", facts.compression_type);
  const bool compressed = facts.compression_type != WIMLIB_COMPRESSION_TYPE_NONE;
  result.Set("chunkSize", compressed ? facts.chunk_size : 0);
  result.Set("bootIndex", facts.boot_index);
  result.Set("guid", Napi::Buffer<uint8_t>::Copy(env, facts.guid, sizeof facts.guid));
  result.Set("version", facts.wim_version);
  result.Set("part", static_cast<uint32_t>(facts.part_number));
  result.Set("totalParts", static_cast<uint32_t>(facts.total_parts));
  result.Set("pipable", static_cast<bool>(facts.pipable));
  result.Set("solid", solid);
  result.Set("integrityTable", static_cast<bool>(facts.has_integrity_table));
  result.Set("readonly", static_cast<bool>(facts.is_marked_readonly));
  result.Set("rpfix", static_cast<bool>(facts.has_rpfix));
  result.Set("spanned", static_cast<bool>(facts.spanned));
  result.Set("writeInProgress", static_cast<bool>(facts.write_in_progress));
  result.Set("metadataOnly", static_cast<bool>(facts.metadata_only));
  result.Set("resourceOnly", static_cast<bool>(facts.resource_only));
  result.Set("size", static_cast<double>(wim->archive ? wim->archive->size() : 0));
  return result;
}

// paths(): { parts: string[], references: string[] }
Napi::Value WimFile::Paths(const Napi::CallbackInfo& info) {
  const WimPointer wim = WimOf(info.This());
  wim::List parts;
  wim::List references;
  if (wim->archive) {
    for (const std::string& path : wim->archive->paths()) parts.push_back(path);
    for (const std::string& path : wim->archive->references()) references.push_back(path);
  }
  return ToJavaScript(info.Env(), wim::Object{{"parts", std::move(parts)}, {"references", std::move(references)}});
}

// xml(): Buffer, as it is in the file.
Napi::Value WimFile::Xml(const Napi::CallbackInfo& info) {
  const std::vector<uint8_t>& xml = ArchiveOf(info.This())->xml();
  return Napi::Buffer<uint8_t>::Copy(info.Env(), xml.data(), xml.size());
}

// isOpened(): boolean, whether libwim has the WIM, with what was changed in memory.
Napi::Value WimFile::IsOpened(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), WimOf(info.This())->library->opened());
}

// property(image: number, name: string): string | undefined, as libwim has it. Waits for a running operation.
Napi::Value WimFile::Property(const Napi::CallbackInfo& info) {
  const std::string name = wim::Wtf8FromUtf16(info[1].As<Napi::String>().Utf16Value());
  try {
    const auto value = wim::PropertyOf(*WimOf(info.This()), info[0].As<Napi::Number>(), name);
    return value ? ToJavaScript(info.Env(), wim::Value(*value)) : info.Env().Undefined();
  } catch (const Error& error) {
    throw ToJavaScript(info.Env(), error);
  }
}

// blobs(): { hashes: Buffer (20 bytes each), sizes: Float64Array, ranks: Uint32Array }, one element a blob.
Napi::Value WimFile::Blobs(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto archive = ArchiveOf(info.This());
  const auto& blobs = archive->blobs().blobs();
  const std::vector<uint32_t> order = RanksOf(archive->blobs());
  auto hashes = Napi::Buffer<uint8_t>::New(env, blobs.size() * sizeof(Sha1Hash));
  auto sizes = Napi::Float64Array::New(env, blobs.size());
  auto ranks = Napi::Uint32Array::New(env, blobs.size());
  for (size_t i = 0; i < blobs.size(); i++) {
    std::memcpy(hashes.Data() + i * sizeof(Sha1Hash), blobs[i].hash.data(), sizeof(Sha1Hash));
    sizes[i] = static_cast<double>(blobs[i].size);
    ranks[i] = order[i];
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("hashes", hashes);
  result.Set("sizes", sizes);
  result.Set("ranks", ranks);
  return result;
}

// findBlob(sha1: Buffer): number | undefined
Napi::Value WimFile::FindBlob(const Napi::CallbackInfo& info) {
  const auto archive = ArchiveOf(info.This());
  const auto bytes = info[0].As<Napi::Buffer<uint8_t>>();
  Sha1Hash hash;
  if (bytes.Length() != hash.size()) throw Napi::TypeError::New(info.Env(), "a SHA-1 has 20 bytes");
  std::memcpy(hash.data(), bytes.Data(), hash.size());
  const auto found = archive->blobs().Find(hash);
  return found ? Napi::Number::New(info.Env(), *found) : info.Env().Undefined();
}

// readMetadata(image: number): Promise<DentryReader>
Napi::Value WimFile::ReadMetadata(const Napi::CallbackInfo& info) {
  const auto archive = ArchiveOf(info.This());
  const uint32_t image = info[0].As<Napi::Number>();
  return PromiseWorker<ImageMetadata>::Run(
      info.Env(), "wim:metadata",
      [archive, image] {
        return ImageMetadata{archive, std::make_shared<wim::Metadata>(archive->ReadMetadata(image))};
      },
      [](Napi::Env env, ImageMetadata& metadata) { return DentryReader::New(env, metadata); });
}

// close(): Promise<void>, once the WIM is released: freeing a large one takes a while.
Napi::Value WimFile::Close(const Napi::CallbackInfo& info) {
  auto held = std::make_shared<WimPointer>(std::move(wim_));
  wim_.reset();
  return PromiseWorker<bool>::Run(
      info.Env(), "wim:close",
      [held] {
        held->reset();
        return true;
      },
      [](Napi::Env env, bool&) { return env.Undefined(); });
}

}  // namespace stowage
