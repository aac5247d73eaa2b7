// One open WIM: libwim's view of it (information, names, properties, XML) and our own (blobs, metadata).
#ifndef STOWAGE_WIM_ARCHIVE_H_
#define STOWAGE_WIM_ARCHIVE_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "blob_table.h"
#include "header.h"
#include "library.h"
#include "metadata.h"

namespace wim {

struct ArchiveInfo {
  Header header;
  uint32_t boot_index = 0;
  bool has_integrity_table = false;
  bool readonly = false;
  bool rpfix = false;
  // Of all files of the WIM, in bytes.
  uint64_t size = 0;
};

// Safe to use from several threads: libwim's handle is used by one at a time, and the rest never changes.
class Archive {
 public:
  // `paths`: the WIM, or all parts of a split one in any order. Throws NOT_A_WIM, WIM_CORRUPT, WIM_PART_MISSING,
  // WIMLIB_ERR_* or an errno's Error.
  static std::shared_ptr<Archive> Open(const std::vector<std::string>& paths);

  const std::string& path() const { return path_; }
  const ArchiveInfo& info() const { return info_; }
  const BlobTable& blobs() const { return blobs_; }

  // The XML data as they stand: UTF-16LE with a byte order mark.
  std::vector<uint8_t> Xml() const;
  // A property of image `image` (1-based) by libwim's path: "NAME", "WINDOWS/VERSION/BUILD". UTF-8.
  std::optional<std::string> Property(uint32_t image, const std::string& name) const;
  Metadata ReadMetadata(uint32_t image) const;

 private:
  Archive() = default;

  std::string path_;
  ArchiveInfo info_;
  BlobTable blobs_;
  ArchiveHandle handle_;
  mutable std::mutex mutex_;
};

}  // namespace wim

#endif  // STOWAGE_WIM_ARCHIVE_H_
