// The metadata resource of an image: security descriptors and the tree of dentries, with what libwim's own iterator
// hides (extended attributes, reparse flags). Source: Microsoft's WIM white paper, "Metadata"; wimlib.
#ifndef STOWAGE_WIM_METADATA_H_
#define STOWAGE_WIM_METADATA_H_

#include <cstdint>
#include <string>
#include <vector>

#include "blob_table.h"

namespace stowage::wim {

// Bytes of a dentry, and of a stream's entry behind it, before names and tagged items. Each begins at a multiple of 8.
constexpr uint64_t kDentrySize = 102;
constexpr uint64_t kStreamEntrySize = 38;
inline uint64_t Align8(uint64_t offset) { return (offset + 7) & ~uint64_t{7}; }

constexpr uint32_t kAttributeDirectory = 0x10;
constexpr uint32_t kAttributeReparsePoint = 0x400;
constexpr uint32_t kAttributeEncrypted = 0x4000;

// The fields of `Dentry::unix_data`, each of 4 bytes: uid, gid, mode, rdev.
constexpr uint32_t kUnixDataSize = 16;

// Seconds between 1601, where FILETIMEs begin, and 1970.
constexpr int64_t kSecondsTo1970 = 11644473600;

// Bytes of the metadata buffer.
struct Span {
  uint32_t offset = 0;
  uint32_t size = 0;
};

struct Stream {
  enum class Type : uint8_t { kData = 0, kReparse = 1, kEncrypted = 2 };
  Type type;
  // UTF-16LE; empty for the unnamed stream.
  Span name;
  // All zero: an empty stream, which has no blob.
  Sha1Hash hash;
};

struct Dentry {
  static constexpr uint32_t kNoParent = 0xffffffff;

  // Index of its directory; kNoParent for the root.
  uint32_t parent = kNoParent;
  uint32_t attributes = 0;
  // Index into the security descriptors; -1: none.
  int32_t security = -1;
  uint32_t reparse_tag = 0;
  uint16_t reparse_flags = 0;
  // 0: the only name of its file. Else all dentries of the image with this number are names of one file.
  uint64_t link_group = 0;
  // FILETIME: 100 ns since 1601-01-01 UTC.
  uint64_t creation_time = 0;
  uint64_t access_time = 0;
  uint64_t write_time = 0;
  // UTF-16LE, without end mark.
  Span name;
  Span short_name;
  // Items of the tagged area; size 0: absent.
  Span extended_attributes;
  Span object_id;
  Span unix_data;
  uint32_t first_stream = 0;
  uint32_t stream_count = 0;
};

class Metadata {
 public:
  // Reads and checks image `image` (0-based) of `table`. Dentries come parents first, a directory's children together.
  // Throws WIM_CORRUPT: bad hash, lengths past the end, a directory in a cycle or nested too deep.
  Metadata(const BlobTable& table, uint32_t image, const std::string& path);
  // The same for a metadata resource that was read already. `where` opens the message of what is thrown.
  Metadata(std::vector<uint8_t> bytes, const Sha1Hash& hash, std::string where);

  const std::vector<Dentry>& dentries() const { return dentries_; }
  const std::vector<Stream>& streams() const { return streams_; }
  // Self-relative SECURITY_DESCRIPTORs.
  const std::vector<Span>& security() const { return security_; }
  const uint8_t* bytes(const Span& span) const { return buffer_.data() + span.offset; }

 private:
  void Parse(const Sha1Hash& hash);
  uint64_t ParseSecurity();
  void ParseTree(uint64_t root_offset);
  // Appends the dentry at `offset` (or nothing, at the end of a directory) and returns its whole size, streams
  // included; 0 at the end of a directory.
  uint64_t ParseDentry(uint64_t offset, uint32_t parent, uint64_t* subdirectory);
  void ParseTagged(Dentry& dentry, uint64_t from, uint64_t to);
  uint64_t ParseStreams(Dentry& dentry, uint64_t offset, uint32_t count, const Sha1Hash& main_hash);
  void AddStream(Dentry& dentry, const Span& name, const Sha1Hash& hash, bool* reparse_found);
  Span CheckedSpan(uint64_t offset, uint64_t size) const;
  [[noreturn]] void Corrupt(const std::string& what) const;

  std::string where_;
  std::vector<uint8_t> buffer_;
  std::vector<Span> security_;
  std::vector<Dentry> dentries_;
  std::vector<Stream> streams_;
};

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_METADATA_H_
