// Files of an image as JSON text: one line each, as docs/wim.md describes it.
#ifndef STOWAGE_WIM_ENTRY_JSON_H_
#define STOWAGE_WIM_ENTRY_JSON_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "value.h"

namespace stowage::wim {

// What a line contains. Texts are WTF-8.
struct EntryFacts {
  struct Stream {
    std::string name;
    // Null: all zero.
    const uint8_t* sha1 = nullptr;
    uint64_t size = 0;
    bool missing = false;
  };

  std::string path;
  std::string short_name;
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
  std::string_view object_id;
  std::string_view security;
  // The unnamed one first.
  std::vector<Stream> streams;
};

// Pieces of a JSON list without its brackets.
class EntryJson {
 public:
  enum class Start { kFirst, kContinued };  // kContinued: another list precedes this one

  explicit EntryJson(Start start = Start::kFirst) : start_(start) {}
  void Add(const EntryFacts& entry);
  List Take();

 private:
  const Start start_;
  std::vector<Bytes> pieces_;
};

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_ENTRY_JSON_H_
