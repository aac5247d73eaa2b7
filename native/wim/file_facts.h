// What an extracted file gets beside its content.
#ifndef STOWAGE_WIM_FILE_FACTS_H_
#define STOWAGE_WIM_FILE_FACTS_H_

#include <cstdint>
#include <optional>

namespace stowage::wim {

// Times are FILETIMEs.
struct FileFacts {
  // Of UNIX.
  struct Owner {
    uint32_t uid;
    uint32_t gid;
    uint32_t mode;
    uint32_t device;
  };
  uint64_t creation_time = 0;
  uint64_t access_time = 0;
  uint64_t write_time = 0;
  // Of Windows.
  uint32_t attributes = 0;
  // With UNIX_DATA, if the image has it.
  std::optional<Owner> owner;
  // That it cannot be set is an error.
  bool strict_times = false;
  bool strict_owner = false;
};

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_FILE_FACTS_H_
