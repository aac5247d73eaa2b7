// What an extraction makes of an image: which directories and files, under which names, and which blobs are in them.
#ifndef STOWAGE_WIM_EXTRACTION_PLAN_H_
#define STOWAGE_WIM_EXTRACTION_PLAN_H_

#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "archive.h"
#include "image_tree.h"

namespace stowage::wim {

class ExtractionPlan {
 public:
  // Instead of a node: the directory that is extracted to.
  static constexpr uint32_t kTarget = 0xffffffff;

  struct File {
    // Has the streams and the times, and need not be extracted itself.
    uint32_t node;
    // What it is extracted as: at least one.
    std::vector<uint32_t> names;
    // A symbolic link, which has reparse data or is not made at all.
    bool link = false;
    // Has no blob.
    bool empty = true;
  };
  struct Content {
    // Index in the blob table.
    uint32_t blob;
    // Index into files().
    uint32_t file;
    // The blob is reparse data.
    bool link;
  };

  // `roots`: what to extract, each with everything below it. `flags`: libwim's. As libwim does it on UNIX, encrypted
  // files and reparse points that are no links become empty files or directories and, without
  // REPLACE_INVALID_FILENAMES, files with names that the system does not allow are left out, and on Windows, without
  // ALL_CASE_CONFLICTS, all but the first of those whose names differ only in case. Throws
  // WIMLIB_ERR_RESOURCE_NOT_FOUND if a blob is in none of the files, WIMLIB_ERR_UNSUPPORTED if flags ask for what UNIX
  // does not hold, LIBWIM_MISSING if they ask for extended attributes and there are some.
  ExtractionPlan(const Archive& archive, const ImageTree& tree, const std::vector<uint32_t>& roots, int flags);

  // The target itself is extracted too: it gets the times of the root.
  bool with_root() const { return with_root_; }
  // Parents first, without the root.
  const std::vector<uint32_t>& directories() const { return directories_; }
  const std::vector<File>& files() const { return files_; }
  // In the order of their places in the WIM.
  const std::vector<Content>& contents() const { return contents_; }

  // A node of directories(), or kTarget.
  uint32_t DirectoryOf(uint32_t node) const;
  // Not empty, "." or "..", and without '/' and NUL.
  std::string NameOf(uint32_t node) const;
  // From the target: "/dir/file".
  std::string PathOf(uint32_t node) const;

 private:
  enum class State : uint8_t { kNone, kChosen, kLeftOut };

  // The chosen nodes, parents first.
  std::vector<uint32_t> Choose(const std::vector<uint32_t>& roots, int flags) const;
  // Whether it is extracted; finds another name if there is need to.
  bool Take(uint32_t node, int flags);
  void Check(const std::vector<uint32_t>& nodes, int flags) const;
  void CheckUnixData(const std::vector<uint32_t>& nodes) const;
  void AddFile(uint32_t node);
  void AddContents(const Archive& archive);
  void SortContents(const BlobTable& table);

  const ImageTree& tree_;
  bool with_root_ = false;
  std::vector<State> states_;
  std::vector<uint32_t> directories_;
  std::vector<File> files_;
  std::unordered_map<uint32_t, uint32_t> file_indexes_;
  std::vector<Content> contents_;
  std::unordered_map<uint32_t, std::string> other_names_;
  // Where names that differ in case are one, by directory.
  std::unordered_map<uint32_t, std::unordered_set<std::string>> folded_names_;
};

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_EXTRACTION_PLAN_H_
