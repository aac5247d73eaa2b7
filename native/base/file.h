// Files read and written by position, so that threads can share one.
#ifndef STOWAGE_BASE_FILE_H_
#define STOWAGE_BASE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace stowage {

class File {
 public:
  enum class Mode { kRead, kWrite };  // kWrite: an existing file, for reading and writing

  // Throws the errno's Error. `path` is UTF-8.
  File(const std::string& path, Mode mode);
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const std::string& path() const { return path_; }
  // In bytes, as it was when opened.
  uint64_t size() const { return size_; }

  // Reads exactly `size` bytes. Throws WIM_CORRUPT if the file ends before that.
  void Read(void* to, size_t size, uint64_t offset) const;
  // Writes all of it.
  void Write(const void* from, size_t size, uint64_t offset) const;
  // Ends the file here.
  void Truncate(uint64_t size) const;
  // Flushes to the medium.
  void Sync() const;
  void AdviseSequential() const;

 private:
  std::string path_;
  uint64_t size_ = 0;
  intptr_t handle_ = -1;
};

}  // namespace stowage

#endif  // STOWAGE_BASE_FILE_H_
