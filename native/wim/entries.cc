#include "entries.h"

#include <cstring>

#include "entry_json.h"
#include "entry_pack.h"
#include "library.h"
#include "metadata.h"
#include "text.h"

namespace stowage::wim {

namespace {

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

EntryFacts FactsOf(const wimlib_dir_entry& entry) {
  EntryFacts facts;
  facts.path = FromLibrary(entry.full_path);
  facts.name_size = FromLibrary(entry.filename).size();
  facts.short_name = FromLibrary(entry.dos_name);
  facts.depth = entry.depth;
  facts.attributes = entry.attributes;
  facts.reparse_tag = entry.reparse_tag;
  facts.created = FileTime(entry.creation_time, entry.creation_time_high);
  facts.written = FileTime(entry.last_write_time, entry.last_write_time_high);
  facts.accessed = FileTime(entry.last_access_time, entry.last_access_time_high);
  facts.link_count = entry.num_links;
  facts.link_group = entry.hard_link_group_id;
  if (entry.unix_mode != 0) facts.unix_data = {entry.unix_uid, entry.unix_gid, entry.unix_mode, entry.unix_rdev};
  if (HasObjectId(entry)) facts.object_id = {reinterpret_cast<const char*>(&entry.object_id), sizeof entry.object_id};
  if (entry.security_descriptor != nullptr)
    facts.security = {entry.security_descriptor, entry.security_descriptor_size};
  for (uint32_t n = 0; n <= entry.num_named_streams; n++)
    facts.streams.push_back({FromLibrary(entry.streams[n].stream_name), entry.streams[n].resource});
  return facts;
}

template <typename Format>
struct Entries {
  Observer& observer;
  Format format;

  static int Add(const wimlib_dir_entry* entry, void* entries) {
    auto* const self = static_cast<Entries*>(entries);
    if (self->observer.cancelled()) return WIMLIB_ERR_ABORTED_BY_PROGRESS;
    try {
      self->format.Add(FactsOf(*entry));
      return 0;
    } catch (...) {
      return WIMLIB_ERR_NOMEM;  // nothing may be thrown through libwim, and only memory can have run out
    }
  }
};

template <typename Format>
Value Iterate(WIMStruct* wim, int image, const std::string& path, int flags, Observer& observer) {
  Entries<Format> entries{observer, Format()};
  CheckLibrary("list " + path, [&] {
    return Libwim().iterate_dir_tree(wim, image, ToLibrary(path).c_str(), flags, Entries<Format>::Add, &entries);
  });
  return entries.format.Take();
}

int AddResource(const wimlib_resource_entry* resource, void* bytes) {
  try {
    PackResource(*resource, static_cast<Bytes*>(bytes));
    return 0;
  } catch (...) {
    return WIMLIB_ERR_NOMEM;
  }
}

}  // namespace

Value ListEntries(WIMStruct* wim, int image, const std::string& path, int flags, Observer& observer) {
  return Iterate<EntryPack>(wim, image, path, flags, observer);
}

Value ListEntriesAsJson(WIMStruct* wim, int image, const std::string& path, int flags, Observer& observer) {
  return Iterate<EntryJson>(wim, image, path, flags, observer);
}

Value ListResources(WIMStruct* wim) {
  Bytes records;
  CheckLibrary("list the blobs", [&] { return Libwim().iterate_lookup_table(wim, 0, AddResource, &records); });
  return records;
}

}  // namespace stowage::wim
