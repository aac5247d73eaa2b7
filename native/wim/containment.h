// What libwim must not be given: it would take memory without bound, not end, or write elsewhere than it was told.
#ifndef STOWAGE_WIM_CONTAINMENT_H_
#define STOWAGE_WIM_CONTAINMENT_H_

#include <cstdint>
#include <set>
#include <string>

#include "archive.h"

namespace stowage::wim {

// Throws WIM_CORRUPT when the directories of image `image` (1-based) share dentries. libwim makes a tree of them all:
// two names a level for the same directory, and a WIM of 6 KB is a tree of 2^40 names. Also when its metadata cannot be
// read.
void CheckTree(const Archive& archive, uint32_t image);

// Looks once at each image of a WIM.
class TreeGuard {
 public:
  // As CheckTree(); all images where `image` is WIMLIB_ALL_IMAGES. An image that is not in the file was made in memory,
  // from what libwim has already.
  void Check(const Archive& archive, int image);

 private:
  std::set<uint32_t> passed_;
};

// Throws WIM_CORRUPT when the header asks for more memory than such a file can rightly need: libwim would take it.
void CheckHeader(const File& file, const Header& header);

// Throws INVALID_ARGUMENT when extracting every image of `wim` would write outside `target`: libwim gives each image a
// directory of its own name there, and goes through a link that stands in its place.
void CheckImageDirectories(WIMStruct* wim, const std::string& target);

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_CONTAINMENT_H_
