#include "entry_pack.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "../base/little_endian.h"
#include "text.h"

namespace stowage::wim {

namespace {

constexpr size_t kBatchSize = 1 << 20;
constexpr uint32_t kNoSecurity = 0xffffffff;

enum EntryFlags : uint32_t { kLatin1 = 1, kUnix = 2, kObjectId = 4 };
enum ResourceFlags : uint32_t { kCompressed = 1, kMetadata = 2, kFree = 4, kSpanned = 8, kMissing = 16, kSolid = 32 };

class Packer {
 public:
  explicit Packer(Bytes* to) : to_(to) {}

  void U32(uint64_t value) { Store(*to_, static_cast<uint32_t>(value)); }
  void U64(uint64_t value) { Store(*to_, value); }
  void Raw(const void* data, size_t size) {
    const auto* bytes = static_cast<const uint8_t*>(data);
    to_->insert(to_->end(), bytes, bytes + size);
  }
  void Utf16(const std::u16string& text) {
    for (const char16_t unit : text) Store(*to_, static_cast<uint16_t>(unit));
  }

 private:
  Bytes* to_;
};

bool IsAscii(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) < 0x80; });
}

}  // namespace

void PackResource(const wimlib_resource_entry& resource, Bytes* to) {
  Packer pack(to);
  pack.U32((resource.is_compressed ? kCompressed : 0u) | (resource.is_metadata ? kMetadata : 0u) |
           (resource.is_free ? kFree : 0u) | (resource.is_spanned ? kSpanned : 0u) |
           (resource.is_missing ? kMissing : 0u) | (resource.packed ? kSolid : 0u));
  pack.U32(resource.part_number);
  pack.U32(resource.reference_count);
  pack.Raw(resource.sha1_hash, sizeof resource.sha1_hash);
  pack.U64(resource.uncompressed_size);
  pack.U64(resource.compressed_size);
  pack.U64(resource.offset);
  pack.U64(resource.raw_resource_offset_in_wim);
  pack.U64(resource.raw_resource_compressed_size);
  pack.U64(resource.raw_resource_uncompressed_size);
}

void EntryPack::Add(const EntryFacts& entry) {
  if (batches_.empty() || batches_.back().size() >= kBatchSize) {
    batches_.emplace_back();
    batches_.back().reserve(kBatchSize + kBatchSize / 8);
  }
  Packer pack(&batches_.back());
  const std::u16string short_name = Utf16FromWtf8(entry.short_name);
  const bool latin1 = IsAscii(entry.path);
  const std::u16string wide = latin1 ? std::u16string() : Utf16FromWtf8(entry.path);
  const std::string_view name = std::string_view(entry.path).substr(entry.path.size() - entry.name_size);

  pack.U32((latin1 ? kLatin1 : 0u) | (entry.unix_data ? kUnix : 0u) | (entry.object_id.empty() ? 0u : kObjectId));
  pack.U32(latin1 ? entry.path.size() : wide.size() * 2);
  pack.U32(latin1 ? name.size() : Utf16FromWtf8(name).size());
  pack.U32(short_name.size() * 2);
  pack.U32(entry.depth);
  pack.U32(entry.attributes);
  pack.U32(entry.reparse_tag);
  pack.U32(entry.link_count);
  pack.U64(entry.link_group);
  pack.U64(entry.created);
  pack.U64(entry.written);
  pack.U64(entry.accessed);
  pack.U32(SecurityOf(entry.security));
  pack.U32(entry.streams.size());
  if (latin1) {
    pack.Raw(entry.path.data(), entry.path.size());
  } else {
    pack.Utf16(wide);
  }
  pack.Utf16(short_name);
  if (entry.unix_data) {
    for (const uint32_t number : *entry.unix_data) pack.U32(number);
  }
  pack.Raw(entry.object_id.data(), entry.object_id.size());
  for (const EntryFacts::Stream& stream : entry.streams) {
    const std::u16string stream_name = Utf16FromWtf8(stream.name);
    pack.U32(stream_name.size() * 2);
    PackResource(stream.resource, &batches_.back());
    pack.Utf16(stream_name);
  }
}

uint32_t EntryPack::SecurityOf(std::string_view descriptor) {
  if (descriptor.empty()) return kNoSecurity;
  const auto known = security_indexes_.find(descriptor);
  if (known != security_indexes_.end()) return known->second;
  security_.push_back(Bytes(descriptor.begin(), descriptor.end()));
  return security_indexes_.emplace(descriptor, static_cast<uint32_t>(security_.size() - 1)).first->second;
}

Value EntryPack::Take() {
  List batches(std::make_move_iterator(batches_.begin()), std::make_move_iterator(batches_.end()));
  return Object{{"batches", std::move(batches)}, {"security", std::move(security_)}};
}

}  // namespace stowage::wim
