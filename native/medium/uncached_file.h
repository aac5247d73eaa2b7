// A file as it is on its medium, not as the system remembers it.
#ifndef STOWAGE_MEDIUM_UNCACHED_FILE_H_
#define STOWAGE_MEDIUM_UNCACHED_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace stowage::medium {

// What an uncached read needs: the alignment of its offset, its size and its memory.
constexpr size_t kAlignment = 4096;

struct FreeAligned {
  void operator()(uint8_t* memory) const;
};
using AlignedMemory = std::unique_ptr<uint8_t, FreeAligned>;

// Throws std::bad_alloc.
AlignedMemory Allocate(size_t size);

class UncachedFile {
 public:
  // Flushes the file, and drops its pages from the page cache. Throws the errno's Error.
  explicit UncachedFile(const std::string& path);
  ~UncachedFile();
  UncachedFile(const UncachedFile&) = delete;
  UncachedFile& operator=(const UncachedFile&) = delete;

  // Reads up to `size` bytes at `offset`, both multiples of kAlignment; fewer only at the end of the file.
  size_t Read(uint8_t* to, size_t size, uint64_t offset);
  // Whether what was read may have come from the page cache: it could neither be passed by nor emptied.
  bool cached() const { return !direct_ && kept_; }

 private:
  std::string path_;
  intptr_t handle_ = -1;
  // Reads pass the page cache by.
  bool direct_ = false;
  // Something of the file stayed in the page cache.
  bool kept_ = false;
};

// Drops the pages of a file or a block device from the page cache. Returns whether nothing stayed;
// for a block device, whether it could be asked for. Throws the errno's Error.
bool DropPages(const std::string& path);

}  // namespace stowage::medium

#endif  // STOWAGE_MEDIUM_UNCACHED_FILE_H_
