#include "containment.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "../base/error.h"
#include "../base/little_endian.h"
#include "library.h"
#include "limits.h"
#include "text.h"

namespace stowage::wim {

namespace {

// Walks the directories of a metadata resource by their lengths alone. Rejects what libwim rejects as well, and shared
// dentries and overlong paths.
class TreeWalk {
 public:
  TreeWalk(const std::vector<uint8_t>& metadata, std::string where)
      : metadata_(metadata),
        where_(std::move(where)),
        most_(metadata.size() / kDentrySize),
        paths_left_(kMostPathBytes + kPathRatio * metadata.size()) {}

  void Run() {
    if (metadata_.size() < 8) Corrupt("is too short for security data");
    const uint64_t root = Align8(std::max<uint64_t>(Load32(metadata_.data()), 8));
    Dentry(root, 0);
    while (!directories_.empty()) {
      Directory directory = directories_.back();
      directories_.pop_back();
      while (const uint64_t size = Dentry(directory.children, directory.path)) directory.children += size;
    }
  }

 private:
  struct Directory {
    uint64_t children;
    // Bytes of its own path.
    uint64_t path;
  };

  // Notes where the children are. Returns the dentry's size with its streams, 0 at the end of a directory.
  uint64_t Dentry(uint64_t offset, uint64_t parent_path) {
    if (offset > metadata_.size() || metadata_.size() - offset < 8) Corrupt("ends inside a directory");
    const uint8_t* const bytes = metadata_.data() + offset;
    const uint64_t length = Load64(bytes);
    if (length <= 8) return 0;
    if (length < kDentrySize || length > metadata_.size() - offset) Corrupt("has a dentry past its end");
    // Each dentry has bytes of its own: if there are more dentries than fit, some are in several directories.
    if (++count_ > most_) Corrupt("has directories that share dentries");
    // Two bytes for each UTF-16 unit, and two for the separator.
    const uint64_t path = parent_path + Load16(bytes + 100) + 2;
    if (path > paths_left_) Corrupt("has paths longer than any system allows");
    paths_left_ -= path;
    const uint64_t children = Load64(bytes + 16);
    if (children != 0 && (Load32(bytes + 8) & kAttributeDirectory)) directories_.push_back({children, path});
    uint64_t end = offset + Align8(length);
    for (uint32_t streams = Load16(bytes + 96); streams > 0; streams--) {
      if (end > metadata_.size() || metadata_.size() - end < kStreamEntrySize) Corrupt("ends inside a dentry");
      const uint64_t size = Load64(metadata_.data() + end);
      if (size < kStreamEntrySize || size > metadata_.size() - end) Corrupt("has a stream past its end");
      end += Align8(size);
    }
    return end - offset;
  }

  [[noreturn]] void Corrupt(const char* what) const { throw Error("WIM_CORRUPT", where_ + " " + what); }

  const std::vector<uint8_t>& metadata_;
  const std::string where_;
  const uint64_t most_;
  uint64_t count_ = 0;
  uint64_t paths_left_;
  std::vector<Directory> directories_;
};

}  // namespace

void CheckTree(const Archive& archive, uint32_t image) {
  const auto& all = archive.blobs().metadata();
  const std::string where = archive.path() + ": the metadata of image " + std::to_string(image);
  if (image < 1 || image > all.size()) throw Error("WIM_CORRUPT", where + " is not in the blob table");
  const Resource& resource = archive.blobs().resources()[all[image - 1].resource];
  Decompressors decompressors;
  const uint64_t limit = std::min(resource.file->size() * kLargestRatio, kLargestMetadata);
  TreeWalk(ReadWhole(resource, limit, decompressors), where).Run();
}

void TreeGuard::Check(const Archive& archive, int image) {
  const auto count = static_cast<uint32_t>(archive.blobs().metadata().size());
  for (uint32_t n = 1; n <= count; n++) {
    if ((image != WIMLIB_ALL_IMAGES && static_cast<uint32_t>(image) != n) || passed_.count(n) > 0) continue;
    CheckTree(archive, n);
    passed_.insert(n);
  }
}

void CheckHeader(const File& file, const Header& header) {
  const auto check = [&](const char* what, const ResourceHeader& at, uint64_t limit) {
    // Uncompressed, it is either as large as claimed or extends past the end of the file.
    if (!(at.flags & ResourceHeader::kCompressed) || at.uncompressed_size <= limit) return;
    throw Error("WIM_CORRUPT",
                file.path() + ": its header says that the " + what + " has " + std::to_string(at.uncompressed_size) +
                    " bytes, more than Stowage accepts in a file of this size (" + std::to_string(limit) + ")");
  };
  check("XML data", header.xml, std::min(file.size() * kLargestRatio, kLargestXml));
  check("blob table", header.blob_table, BlobTable::LargestSize(file));
}

void CheckImageDirectories(WIMStruct* wim, const std::string& target) {
  namespace fs = std::filesystem;
  wimlib_wim_info info = {};
  CheckLibrary("look at the images", [&] { return Libwim().get_wim_info(wim, &info); });
  for (uint32_t image = 1; image <= info.image_count; image++) {
    // libwim uses the image's number if its name cannot be that of a directory.
    const std::string name = FromLibrary(Libwim().get_image_name(wim, static_cast<int>(image)));
    for (const std::string& directory : {name, std::to_string(image)}) {
      if (directory.empty() || directory == "." || directory == ".." || directory.find('/') != std::string::npos)
        continue;
      const fs::path path = fs::u8path(target) / fs::u8path(directory);
      std::error_code none;
      if (fs::symlink_status(path, none).type() != fs::file_type::symlink) continue;
      throw Error("INVALID_ARGUMENT", path.u8string() + " is a symbolic link, through which image " +
                                          std::to_string(image) + " would be extracted elsewhere");
    }
  }
}

}  // namespace stowage::wim
