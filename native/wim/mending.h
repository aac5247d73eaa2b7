// A WIM file whose metadata has the form of libwim before 1.14.2, and the same file with the right one.
#ifndef STOWAGE_WIM_MENDING_H_
#define STOWAGE_WIM_MENDING_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "../base/error.h"
#include "../base/file.h"
#include "../base/hash.h"
#include "decompressors.h"
#include "header.h"
#include "integrity.h"
#include "mend.h"

namespace stowage::wim {

// A WIM file with its metadata resources, mended where that is needed.
class Mending {
 public:
  using Raw = std::vector<uint8_t>;
  using Out = std::function<void(const uint8_t* bytes, size_t size)>;

  Mending(const File& file, const MendOptions& options);

  const Header& header() const { return header_; }
  bool needed() const;

  // Prepares what is written anew, once `needed()`.
  void Prepare();

  // Where the metadata begins that nothing but metadata follows, up to the blob table; not before `floor`. Everything
  // from there on can be written anew. The end of the file if there is no such place.
  uint64_t TailBegin(uint64_t floor) const;

  // Metadata, blob table, XML and integrity table as they are at offset `begin`, and the header for them. Metadata at
  // or after `tail_begin` moves there, and so does what is mended.
  struct Tail {
    Raw bytes;
    Raw header;
  };
  Tail MakeTail(uint64_t begin, uint64_t tail_begin, bool with_integrity = true) const;

  // Writes a pipable WIM from front to back.
  void WritePipable(const Out& write) const;

 private:
  // A metadata resource of the file, and what takes its place.
  struct Image {
    ResourceHeader at;
    bool mended = false;
    // If it is mended: the metadata, and once it is packed, what is stored in the file.
    Raw metadata;
    Sha1Hash hash{};
    uint64_t size = 0;
    uint8_t flags = 0;
    Raw stored;
  };

  // Offsets of old resources behind which all is moved by so many bytes.
  struct Move {
    uint64_t offset;
    int64_t by;
  };
  using Moves = std::vector<Move>;

  // Sets `image` to what has to take its place, if anything. Metadata that is damaged stays: whoever reads it learns.
  void Examine(Image& image, const Sha1Hash& hash, Decompressors& decompressors) const;

  static ResourceHeader PlaceOf(const Image& image, uint64_t offset);
  static uint64_t Moved(const Moves& moves, uint64_t offset);

  // Those of the blob table, which is written uncompressed.
  uint8_t TableFlags() const { return header_.blob_table.flags & static_cast<uint8_t>(~ResourceHeader::kCompressed); }
  // As libwim writes them before a resource that is not compressed.
  uint32_t PipedFlags(const ResourceHeader& at) const;

  Raw Table(const std::map<uint64_t, ResourceHeader>& places, const Moves& moves) const;

  // With the size that the WIM now has up to its XML, as libwim states it.
  Raw Xml(uint64_t total) const;

  // For bytes up to `covered`: those of the file before `begin`, then `tail`.
  Raw Integrity(const IntegrityTable& old, uint64_t begin, const Raw& tail, uint64_t covered) const;

  Raw HeaderWith(const std::map<uint64_t, ResourceHeader>& places, const Moves& moves, const ResourceHeader& table,
                 const ResourceHeader& xml, const ResourceHeader& integrity) const;

  // Where the header of a resource begins in a pipable WIM, which must not be before `least`.
  uint64_t PipedBegin(const ResourceHeader& at, uint64_t least) const;

  Error Unexpected() const;

  const File& file_;
  const Header header_;
  const MendOptions options_;
  Raw raw_header_;
  Raw table_;
  Raw xml_;
  std::optional<IntegrityTable> integrity_;
  // By their offsets.
  std::map<uint64_t, Image> images_;
  uint64_t blobs_end_ = 0;
};

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_MENDING_H_
