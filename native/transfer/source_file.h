// A file that is read from place to place.
#ifndef STOWAGE_TRANSFER_SOURCE_FILE_H_
#define STOWAGE_TRANSFER_SOURCE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace stowage::transfer {

class SourceFile {
 public:
  // A symbolic link is not followed. Throws the errno's Error, as Read() does.
  explicit SourceFile(const std::string& path);
  ~SourceFile();
  SourceFile(const SourceFile&) = delete;
  SourceFile& operator=(const SourceFile&) = delete;

  // Less than `size` only at the end of the file.
  size_t Read(uint8_t* to, size_t size, uint64_t offset) const;

 private:
  const std::string path_;
  const int handle_;
};

}  // namespace stowage::transfer

#endif  // STOWAGE_TRANSFER_SOURCE_FILE_H_
