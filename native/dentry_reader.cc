#include "dentry_reader.h"

#include <algorithm>
#include <vector>

#include "addon_data.h"
#include "base/little_endian.h"

namespace stowage {

namespace {

// Little-endian fields one after another, as src/wim/dentry.ts reads them.
class Record {
 public:
  template <typename Number>
  void Put(Number value) {
    Store(bytes_, value);
  }
  void Put(const uint8_t* data, size_t size) { bytes_.insert(bytes_.end(), data, data + size); }
  const std::vector<uint8_t>& bytes() const { return bytes_; }

 private:
  std::vector<uint8_t> bytes_;
};

constexpr uint32_t kEmptyStream = 0xffffffff;
constexpr uint32_t kMissingBlob = 0xfffffffe;

void PutStream(Record& record, const ImageMetadata& image, const wim::Stream& stream) {
  const wim::BlobTable& table = image.archive->blobs();
  const auto found = table.Find(stream.hash);
  record.Put(static_cast<uint32_t>(stream.type));
  record.Put(IsZero(stream.hash) ? kEmptyStream : found.value_or(kMissingBlob));
  record.Put(stream.name.size);
  record.Put(stream.hash.data(), stream.hash.size());
  record.Put(image.metadata->bytes(stream.name), stream.name.size);
}

void PutDentry(Record& record, const ImageMetadata& image, const wim::Dentry& dentry) {
  const wim::Metadata& metadata = *image.metadata;
  record.Put(dentry.parent);
  record.Put(dentry.attributes);
  record.Put(static_cast<uint32_t>(dentry.security));
  record.Put(dentry.reparse_tag);
  record.Put(static_cast<uint32_t>(dentry.reparse_flags));
  record.Put(dentry.stream_count);
  record.Put(dentry.link_group);
  record.Put(dentry.creation_time);
  record.Put(dentry.access_time);
  record.Put(dentry.write_time);
  const wim::Span* const spans[] = {&dentry.name, &dentry.short_name, &dentry.extended_attributes, &dentry.object_id,
                                    &dentry.unix_data};
  for (const wim::Span* span : spans) record.Put(span->size);
  for (const wim::Span* span : spans) record.Put(metadata.bytes(*span), span->size);
  for (uint32_t i = 0; i < dentry.stream_count; i++) {
    PutStream(record, image, metadata.streams()[dentry.first_stream + i]);
  }
}

}  // namespace

void DentryReader::Register(Napi::Env env) {
  AddonData::Of(env).dentry_reader =
      Napi::Persistent(DefineClass(env, "DentryReader",
                                   {
                                       InstanceMethod<&DentryReader::Security>("security"),
                                       InstanceMethod<&DentryReader::Next>("next"),
                                   }));
}

Napi::Value DentryReader::New(Napi::Env env, ImageMetadata& metadata) {
  return AddonData::Of(env).dentry_reader.New({Napi::External<ImageMetadata>::New(env, &metadata)});
}

DentryReader::DentryReader(const Napi::CallbackInfo& info) : Napi::ObjectWrap<DentryReader>(info) {
  if (info.Length() != 1 || !info[0].IsExternal()) {
    throw Napi::TypeError::New(info.Env(), "DentryReader is made by readMetadata()");
  }
  image_ = *info[0].As<Napi::External<ImageMetadata>>().Data();
}

// security(): Buffer[], self-relative SECURITY_DESCRIPTORs; before the last dentry was read.
Napi::Value DentryReader::Security(const Napi::CallbackInfo& info) {
  if (!image_.metadata) return Napi::Array::New(info.Env());
  const auto& spans = image_.metadata->security();
  Napi::Array list = Napi::Array::New(info.Env(), spans.size());
  for (uint32_t i = 0; i < spans.size(); i++) {
    list.Set(i, Napi::Buffer<uint8_t>::Copy(info.Env(), image_.metadata->bytes(spans[i]), spans[i].size));
  }
  return list;
}

// next(most: number): Buffer of at most `most` dentries, or undefined at the end.
Napi::Value DentryReader::Next(const Napi::CallbackInfo& info) {
  if (!image_.metadata) return info.Env().Undefined();
  const auto& dentries = image_.metadata->dentries();
  const size_t most = std::max<uint32_t>(1, info[0].As<Napi::Number>());
  const size_t end = std::min(dentries.size(), next_ + most);
  Record record;
  for (; next_ < end; next_++) PutDentry(record, image_, dentries[next_]);
  // Tens of megabytes that V8 does not know about: free them now, not when it happens to collect this object.
  if (next_ == dentries.size()) image_ = {};
  return Napi::Buffer<uint8_t>::Copy(info.Env(), record.bytes().data(), record.bytes().size());
}

}  // namespace stowage
