// Which blobs a WIM (or the parts of a split one) holds, and where. Source: Microsoft's WIM white paper, "Lookup
// table".
#ifndef STOWAGE_WIM_BLOB_TABLE_H_
#define STOWAGE_WIM_BLOB_TABLE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "../base/hash.h"
#include "resource.h"

namespace stowage::wim {

struct Blob {
  Sha1Hash hash;
  // Index into BlobTable::resources(); for a solid resource `offset` is that of the blob in it, once decompressed.
  uint32_t resource;
  uint32_t references;
  uint64_t offset;
  uint64_t size;
};

class BlobTable {
 public:
  // Of one blob in the table of a file, in bytes.
  static constexpr size_t kEntrySize = 50;
  // The uncompressed size that marks the entry of a solid resource itself.
  static constexpr uint64_t kSolidResource = 0x100000000;

  // Of the table of a file, in bytes once decompressed: a larger one only names the same blobs repeatedly.
  static uint64_t LargestSize(const File& file);
  // Adds the blobs of one file. The first place found for a hash is kept. Throws WIM_CORRUPT.
  void Add(std::unique_ptr<File> file, const Header& header);
  // Adds the blobs of a file of another WIM, but not its images.
  void AddReference(std::unique_ptr<File> file, const Header& header);

  const std::vector<Resource>& resources() const { return resources_; }
  const std::vector<Blob>& blobs() const { return blobs_; }
  // The metadata resource of each image, in image order, as a resource index, with the hash it must have.
  const std::vector<Blob>& metadata() const { return metadata_; }
  // Index into blobs().
  std::optional<uint32_t> Find(const Sha1Hash& hash) const;

 private:
  struct Entry;
  void AddSolidRun(const File& file, const Header& header, const std::vector<Entry>& run);
  void AddBlob(const Blob& blob);
  void Grow();
  // The slot of the blob with this hash, or the free one for it.
  size_t SlotOf(const Sha1Hash& hash) const;

  std::vector<std::unique_ptr<File>> files_;
  std::vector<Resource> resources_;
  std::vector<Blob> blobs_;
  std::vector<Blob> metadata_;
  // A hash table with open addressing: indexes into blobs_, or kNoBlob. The number of slots is a power of two, and less
  // than half are taken. Allocating a node for each of tens of thousands of blobs would take longer than all else.
  std::vector<uint32_t> slots_;
};

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_BLOB_TABLE_H_
