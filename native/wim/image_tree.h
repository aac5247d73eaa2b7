// The files of an image as libwim sees them: in its order, without the names it ignores, with the names of each file.
#ifndef STOWAGE_WIM_IMAGE_TREE_H_
#define STOWAGE_WIM_IMAGE_TREE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "metadata.h"

namespace stowage::wim {

// Source: wimlib's documentation, and what wimlib-imagex does with WIMs that no tool would write. Nameless files, "."
// and "..", all but the first of several files of one name, and what is below a file that is no directory are not
// there.
class ImageTree {
 public:
  enum class Case { kSensitive, kInsensitive };

  // `where` opens the message of what is thrown. Throws WIM_CORRUPT if the root is no directory.
  ImageTree(Metadata metadata, const std::string& where);

  // Nodes are numbered as the dentries of the metadata; the root is 0. No root: no files at all.
  bool empty() const { return metadata_.dentries().empty(); }
  size_t size() const { return metadata_.dentries().size(); }
  const Metadata& metadata() const { return metadata_; }
  const Dentry& dentry(uint32_t node) const { return metadata_.dentries()[node]; }
  // A reparse point is none, even if it has the attribute.
  bool IsDirectory(uint32_t node) const;
  // The first name, in depth-first order, of the file that this is a name of; itself for most. A directory has one
  // name, and so has a file whose content differs from that of the others in its link group.
  uint32_t FileOf(uint32_t node) const { return files_[node]; }
  // The unnamed stream of this type; null if it has none, or if it is empty.
  const Stream* UnnamedStream(uint32_t node, Stream::Type type) const;
  // In WTF-8, which may hold NUL and '/'.
  std::string NameOf(uint32_t node) const;
  // "/dir/file" in WTF-8; "/" for the root.
  std::string PathOf(uint32_t node) const;

  // Calls `visit` for `node` and everything below it: depth first, a directory before its children.
  template <typename Visit>
  void Walk(uint32_t node, Visit visit) const {
    std::vector<uint32_t> ahead = {node};
    while (!ahead.empty()) {
      const uint32_t next = ahead.back();
      ahead.pop_back();
      visit(next);
      const Children& children = children_[next];
      for (uint32_t n = children.count; n > 0; n--) ahead.push_back(order_[children.first + n - 1]);
    }
  }

  // The nodes that match a path: separators are '/' and '\', several count as one, those at the ends do not count.
  // With several that differ from it in case, the one that does not, else the first.
  std::vector<uint32_t> Find(const std::string& path, Case sensitivity) const;
  // The same for a pattern: within a component, '*' matches any bytes and '?' matches one. Case is that of ASCII.
  std::vector<uint32_t> Match(const std::string& pattern, Case sensitivity) const;

 private:
  struct Children {
    uint32_t first = 0;
    uint32_t count = 0;
  };

  void GatherChildren();
  void GatherFiles();
  // UTF-16LE.
  std::string_view Units(uint32_t node) const;

  Metadata metadata_;
  // Each directory's children lie together, sorted.
  std::vector<uint32_t> order_;
  std::vector<Children> children_;
  std::vector<uint32_t> files_;
};

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_IMAGE_TREE_H_
