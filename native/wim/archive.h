// The files of a WIM, read by our own code: which blobs they hold, and the metadata of each image.
#ifndef STOWAGE_WIM_ARCHIVE_H_
#define STOWAGE_WIM_ARCHIVE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "blob_table.h"
#include "header.h"
#include "metadata.h"

namespace stowage::wim {

// Safe to use from several threads: it never changes.
class Archive {
 public:
  // `paths`: the WIM, or all parts of a split one in any order. `references`: other WIM files, which may hold blobs
  // that this one does not. Throws NOT_A_WIM, WIM_CORRUPT, WIM_PART_MISSING or an errno's Error.
  static std::shared_ptr<const Archive> Open(const std::vector<std::string>& paths,
                                             const std::vector<std::string>& references = {});

  // The first part.
  const std::string& path() const { return paths_.front(); }
  // All parts, in order.
  const std::vector<std::string>& paths() const { return paths_; }
  const std::vector<std::string>& references() const { return references_; }
  const Header& header() const { return header_; }
  const BlobTable& blobs() const { return blobs_; }
  // Of all parts, in bytes.
  uint64_t size() const { return size_; }

  // The XML data, as it is in the file: UTF-16LE.
  const std::vector<uint8_t>& xml() const { return xml_; }

  // Of image `image`, 1-based.
  Metadata ReadMetadata(uint32_t image) const;

 private:
  Archive() = default;

  std::vector<std::string> paths_;
  std::vector<std::string> references_;
  Header header_;
  BlobTable blobs_;
  std::vector<uint8_t> xml_;
  uint64_t size_ = 0;
};

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_ARCHIVE_H_
