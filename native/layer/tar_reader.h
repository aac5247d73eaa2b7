// The entries of a tar: ustar and the form before it, PAX and GNU. Sources: POSIX.1-2017 (pax), GNU tar's manual,
// "Basic Tar Format".
#ifndef STOWAGE_LAYER_TAR_READER_H_
#define STOWAGE_LAYER_TAR_READER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "../base/byte_queue.h"

namespace stowage::layer {

// Texts are the bytes of the tar: UTF-8 if it was written by the rules. Path and linkname never contain a NUL.
struct TarEntry {
  // With PAX and GNU long names applied, otherwise unchanged: a directory's may end in '/'.
  std::string path;
  // '\0' and '7' are reported as '0'.
  char type = '0';
  uint32_t mode = 0;
  uint64_t uid = 0, gid = 0;
  std::string uname, gname;
  // Whole seconds since 1970, from the header: PAX's value is in `records`.
  int64_t mtime = 0;
  // Of the content that follows: 0 but for files.
  uint64_t size = 0;
  std::string linkname;
  uint32_t devmajor = 0, devminor = 0;
  // PAX records sorted by the bytes of their keys, each key once; those of global headers are included unless the entry
  // has its own. Records that the fields above already reflect are included, and so are empty values, which set no
  // field.
  std::vector<std::pair<std::string, std::string>> records;

  // Of the record with this key, or null.
  const std::string* Record(const std::string& key) const;
};

class TarReader {
 public:
  // `where` names the tar in errors. `input` is kept, not owned.
  TarReader(ByteSource& input, std::string where);

  // The next entry; skips what is left of the content before it. False at the end of the archive, once everything after
  // it has been read. Throws LAYER_CORRUPT with the offset in the tar.
  bool Next(TarEntry* entry);
  // The next piece of the entry's content, which stays until the next call; false at its end.
  bool Read(const uint8_t** data, size_t* size);
  // Offset of the last entry's header in the tar.
  uint64_t offset() const { return entry_offset_; }
  // Global PAX headers so far.
  uint64_t globals() const { return globals_; }

 private:
  using Records = std::vector<std::pair<std::string, std::string>>;
  // What the headers before an entry's own say about it.
  struct Extended;

  bool Fill();
  // The next block of 512 bytes; false if the input ends before it begins.
  bool Block(uint8_t* block);
  void Skip(uint64_t size);
  // The whole content of a header that extends another.
  std::string Take(uint64_t size);
  Records ReadRecords(uint64_t size);
  void Extend(char type, uint64_t size, Extended* extended);
  void Complete(const uint8_t* block, Extended& extended, TarEntry* entry);
  void TakeHeader(const uint8_t* block, TarEntry* entry) const;
  void ApplyRecords(TarEntry* entry) const;
  void SettleType(char type, TarEntry* entry) const;
  int64_t Number(const uint8_t* field, size_t size, const char* name) const;
  uint64_t Decimal(const std::string& text, const char* key) const;
  // Reads on to the end of the input.
  bool Finish();
  [[noreturn]] void Corrupt(const std::string& why) const;
  [[noreturn]] void NotATar() const;
  [[noreturn]] void Throw(const char* code, const std::string& why) const;

  ByteSource& input_;
  const std::string where_;
  // What is left of the piece the input gave last.
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
  // Of `data_` in the tar.
  uint64_t position_ = 0;
  uint64_t entry_offset_ = 0;
  // Of the entry's content, and of the zeros after it.
  uint64_t left_ = 0;
  uint64_t padding_ = 0;
  uint64_t count_ = 0;
  bool ended_ = false;
  Records global_;
  uint64_t globals_ = 0;
};

}  // namespace stowage::layer

#endif  // STOWAGE_LAYER_TAR_READER_H_
