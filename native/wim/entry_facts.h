// What a list of an image's files says about each.
#ifndef STOWAGE_WIM_ENTRY_FACTS_H_
#define STOWAGE_WIM_ENTRY_FACTS_H_

#include <wimlib.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stowage::wim {

// Texts are WTF-8.
struct EntryFacts {
  struct Stream {
    std::string name;
    // As libwim describes it; the hash of an empty stream is zero.
    wimlib_resource_entry resource;
  };

  std::string path;
  // Of the name at the end of the path, in bytes.
  size_t name_size = 0;
  std::string short_name;
  // 0 for the root.
  uint64_t depth = 0;
  uint32_t attributes = 0;
  uint32_t reparse_tag = 0;
  // FILETIMEs.
  uint64_t created = 0;
  uint64_t written = 0;
  uint64_t accessed = 0;
  uint64_t link_count = 1;
  uint64_t link_group = 0;
  // uid, gid, mode, rdev.
  std::optional<std::array<uint32_t, 4>> unix_data;
  // 64 bytes, or none.
  std::string_view object_id;
  std::string_view security;
  // The unnamed one first.
  std::vector<Stream> streams;
};

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_ENTRY_FACTS_H_
