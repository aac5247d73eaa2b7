#include "entries.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "../base/little_endian.h"
#include "entry_json.h"
#include "library.h"
#include "text.h"

namespace stowage::wim {

namespace {

constexpr size_t kBatchSize = 1 << 20;
constexpr uint32_t kNoSecurity = 0xffffffff;
// Between 1601, where Windows begins to count, and 1970.
constexpr int64_t kSecondsTo1970 = 11644473600;

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
  void ResourceRecord(const wimlib_resource_entry& resource) {
    U32((resource.is_compressed ? kCompressed : 0u) | (resource.is_metadata ? kMetadata : 0u) |
        (resource.is_free ? kFree : 0u) | (resource.is_spanned ? kSpanned : 0u) |
        (resource.is_missing ? kMissing : 0u) | (resource.packed ? kSolid : 0u));
    U32(resource.part_number);
    U32(resource.reference_count);
    Raw(resource.sha1_hash, sizeof resource.sha1_hash);
    U64(resource.uncompressed_size);
    U64(resource.compressed_size);
    U64(resource.offset);
    U64(resource.raw_resource_offset_in_wim);
    U64(resource.raw_resource_compressed_size);
    U64(resource.raw_resource_uncompressed_size);
  }

 private:
  Bytes* to_;
};

bool IsAscii(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) < 0x80; });
}

uint64_t FileTime(const wimlib_timespec& time, int32_t high) {
  // If tv_sec has 32 bits, libwim has the upper ones in a field of their own.
  int64_t seconds = time.tv_sec;
  if (sizeof time.tv_sec == 4)
    seconds = static_cast<int64_t>(high) * (int64_t{1} << 32) + static_cast<uint32_t>(time.tv_sec);
  return static_cast<uint64_t>((seconds + kSecondsTo1970) * 10000000 + time.tv_nsec / 100);
}

bool HasObjectId(const wimlib_dir_entry& entry) {
  static const wimlib_object_id kNone = {};
  return std::memcmp(&entry.object_id, &kNone, sizeof kNone) != 0;
}

class EntryList {
 public:
  explicit EntryList(Observer& observer) : observer_(observer) {}

  void Add(const wimlib_dir_entry& entry) {
    if (batches_.empty() || batches_.back().size() >= kBatchSize) {
      batches_.emplace_back();
      batches_.back().reserve(kBatchSize + kBatchSize / 8);
    }
    Packer pack(&batches_.back());
    const std::string path = FromLibrary(entry.full_path);
    const std::u16string name = Utf16FromWtf8(FromLibrary(entry.filename));
    const std::u16string short_name = Utf16FromWtf8(FromLibrary(entry.dos_name));
    const bool latin1 = IsAscii(path);
    const std::u16string wide = latin1 ? std::u16string() : Utf16FromWtf8(path);
    const bool has_unix = entry.unix_mode != 0;
    const bool has_object_id = HasObjectId(entry);

    pack.U32((latin1 ? kLatin1 : 0u) | (has_unix ? kUnix : 0u) | (has_object_id ? kObjectId : 0u));
    pack.U32(latin1 ? path.size() : wide.size() * 2);
    pack.U32(name.size());
    pack.U32(short_name.size() * 2);
    pack.U32(entry.depth);
    pack.U32(entry.attributes);
    pack.U32(entry.reparse_tag);
    pack.U32(entry.num_links);
    pack.U64(entry.hard_link_group_id);
    pack.U64(FileTime(entry.creation_time, entry.creation_time_high));
    pack.U64(FileTime(entry.last_write_time, entry.last_write_time_high));
    pack.U64(FileTime(entry.last_access_time, entry.last_access_time_high));
    pack.U32(SecurityOf(entry));
    pack.U32(entry.num_named_streams + 1);
    if (latin1) {
      pack.Raw(path.data(), path.size());
    } else {
      pack.Utf16(wide);
    }
    pack.Utf16(short_name);
    if (has_unix) {
      for (const uint32_t number : {entry.unix_uid, entry.unix_gid, entry.unix_mode, entry.unix_rdev}) pack.U32(number);
    }
    if (has_object_id) pack.Raw(&entry.object_id, sizeof entry.object_id);
    for (uint32_t n = 0; n <= entry.num_named_streams; n++) {
      const wimlib_stream_entry& stream = entry.streams[n];
      const std::u16string stream_name = Utf16FromWtf8(FromLibrary(stream.stream_name));
      pack.U32(stream_name.size() * 2);
      pack.ResourceRecord(stream.resource);
      pack.Utf16(stream_name);
    }
  }

  bool cancelled() const { return observer_.cancelled(); }

  Value Take() {
    List batches(std::make_move_iterator(batches_.begin()), std::make_move_iterator(batches_.end()));
    return Object{{"batches", std::move(batches)}, {"security", std::move(security_)}};
  }

 private:
  // libwim keeps each security descriptor once, so its address identifies it.
  uint32_t SecurityOf(const wimlib_dir_entry& entry) {
    if (entry.security_descriptor == nullptr) return kNoSecurity;
    const auto [found, added] =
        security_indexes_.emplace(entry.security_descriptor, static_cast<uint32_t>(security_.size()));
    if (added) {
      const auto* bytes = reinterpret_cast<const uint8_t*>(entry.security_descriptor);
      security_.push_back(Bytes(bytes, bytes + entry.security_descriptor_size));
    }
    return found->second;
  }

  Observer& observer_;
  std::vector<Bytes> batches_;
  List security_;
  std::map<const char*, uint32_t> security_indexes_;
};

bool IsZeroHash(const uint8_t* hash) {
  return std::all_of(hash, hash + 20, [](uint8_t byte) { return byte == 0; });
}

class JsonList {
 public:
  explicit JsonList(Observer& observer) : observer_(observer) {}

  void Add(const wimlib_dir_entry& entry) {
    EntryFacts facts;
    facts.path = FromLibrary(entry.full_path);
    facts.short_name = FromLibrary(entry.dos_name);
    facts.attributes = entry.attributes;
    facts.reparse_tag = entry.reparse_tag;
    facts.created = FileTime(entry.creation_time, entry.creation_time_high);
    facts.written = FileTime(entry.last_write_time, entry.last_write_time_high);
    facts.accessed = FileTime(entry.last_access_time, entry.last_access_time_high);
    facts.link_count = entry.num_links;
    facts.link_group = entry.hard_link_group_id;
    if (entry.unix_mode != 0) facts.unix_data = {entry.unix_uid, entry.unix_gid, entry.unix_mode, entry.unix_rdev};
    if (HasObjectId(entry)) {
      facts.object_id = {reinterpret_cast<const char*>(&entry.object_id), sizeof entry.object_id};
    }
    if (entry.security_descriptor != nullptr) {
      facts.security = {entry.security_descriptor, entry.security_descriptor_size};
    }
    for (uint32_t n = 0; n <= entry.num_named_streams; n++) {
      const wimlib_resource_entry& resource = entry.streams[n].resource;
      facts.streams.push_back({FromLibrary(entry.streams[n].stream_name),
                               IsZeroHash(resource.sha1_hash) ? nullptr : resource.sha1_hash,
                               resource.uncompressed_size, static_cast<bool>(resource.is_missing)});
    }
    json_.Add(facts);
  }

  bool cancelled() const { return observer_.cancelled(); }
  Value Take() { return json_.Take(); }

 private:
  Observer& observer_;
  EntryJson json_;
};

template <typename Entries>
int AddEntry(const wimlib_dir_entry* entry, void* list) {
  auto* entries = static_cast<Entries*>(list);
  if (entries->cancelled()) return WIMLIB_ERR_ABORTED_BY_PROGRESS;
  try {
    entries->Add(*entry);
    return 0;
  } catch (...) {
    return WIMLIB_ERR_NOMEM;  // nothing may be thrown through libwim, and only memory can have run out
  }
}

int AddResource(const wimlib_resource_entry* resource, void* bytes) {
  try {
    Packer(static_cast<Bytes*>(bytes)).ResourceRecord(*resource);
    return 0;
  } catch (...) {
    return WIMLIB_ERR_NOMEM;
  }
}

}  // namespace

namespace {

template <typename Entries>
Value Iterate(WIMStruct* wim, int image, const std::string& path, int flags, Observer& observer) {
  Entries list(observer);
  CheckLibrary("list " + path, [&] {
    return Libwim().iterate_dir_tree(wim, image, ToLibrary(path).c_str(), flags, AddEntry<Entries>, &list);
  });
  return list.Take();
}

}  // namespace

Value ListEntries(WIMStruct* wim, int image, const std::string& path, int flags, Observer& observer) {
  return Iterate<EntryList>(wim, image, path, flags, observer);
}

Value ListEntriesAsJson(WIMStruct* wim, int image, const std::string& path, int flags, Observer& observer) {
  return Iterate<JsonList>(wim, image, path, flags, observer);
}

Value ListResources(WIMStruct* wim) {
  Bytes records;
  CheckLibrary("list the blobs", [&] { return Libwim().iterate_lookup_table(wim, 0, AddResource, &records); });
  return records;
}

}  // namespace stowage::wim
