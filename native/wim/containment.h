// Rejects WIMs with which libwim would take memory without bound, never end, or write outside the target.
#ifndef STOWAGE_WIM_CONTAINMENT_H_
#define STOWAGE_WIM_CONTAINMENT_H_

#include <cstdint>
#include <set>
#include <string>

#include "archive.h"

namespace stowage::wim {

// Throws WIM_CORRUPT if the directories of image `image` (1-based) share dentries, or if its metadata cannot be read.
// libwim makes a tree of all names: if each level has two names for the same directory, a WIM of 6 KB is a tree of 2^40
// names.
void CheckTree(const Archive& archive, uint32_t image);

// Checks each image of a WIM once.
class TreeGuard {
 public:
  // As CheckTree(); checks all images if `image` is WIMLIB_ALL_IMAGES. An image that is not in the file was made in
  // memory, from what libwim has already.
  void Check(const Archive& archive, int image);

 private:
  std::set<uint32_t> passed_;
};

// Throws WIM_CORRUPT if the header asks for more memory than such a file can need: libwim would allocate it.
void CheckHeader(const File& file, const Header& header);

// Throws INVALID_ARGUMENT if extracting every image of `wim` would write outside `target`: libwim gives each image a
// directory with its name there, and follows a symbolic link of that name.
void CheckImageDirectories(WIMStruct* wim, const std::string& target);

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_CONTAINMENT_H_
