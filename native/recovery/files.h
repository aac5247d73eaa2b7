// Parts of files that recovery data is about.
#ifndef STOWAGE_RECOVERY_FILES_H_
#define STOWAGE_RECOVERY_FILES_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../base/file.h"

namespace stowage::recovery {

// `size` bytes of a file, the rest of a block being zeros.
struct Range {
  uint32_t file;
  uint64_t offset;
  uint64_t size;
};

// Files by number. A set may have more of them than a process can have open.
class Files {
 public:
  Files(std::vector<std::string> paths, File::Mode mode) : paths_(std::move(paths)), mode_(mode) {}

  // Opens it if it is not. Throws as File does.
  const File& Open(uint32_t number) {
    const auto found = open_.find(number);
    if (found != open_.end()) return *found->second;
    if (open_.size() == kMostOpen) open_.clear();
    return *open_.emplace(number, std::make_unique<File>(paths_.at(number), mode_)).first->second;
  }

 private:
  static constexpr size_t kMostOpen = 32;

  const std::vector<std::string> paths_;
  const File::Mode mode_;
  std::map<uint32_t, std::unique_ptr<File>> open_;
};

}  // namespace stowage::recovery

#endif  // STOWAGE_RECOVERY_FILES_H_
