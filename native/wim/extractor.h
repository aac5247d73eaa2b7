// Extracts images, or paths of them, to plain files with our own readers, as libwim does it on UNIX.
#ifndef STOWAGE_WIM_EXTRACTOR_H_
#define STOWAGE_WIM_EXTRACTOR_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "archive.h"
#include "image_tree.h"
#include "observer.h"

namespace stowage::wim {

struct Extraction {
  std::shared_ptr<const Archive> archive;
  // By their numbers less 1: the directories for all images, and what progress names.
  std::vector<std::string> image_names;
  // A directory, or where one is to be made: its parent is there.
  std::string target;
  // libwim's.
  int flags = 0;
  // Whether paths differ from names in case.
  ImageTree::Case sensitivity = ImageTree::Case::kSensitive;
};

// Whether this can be done without libwim: to plain files, with all that the flags ask for.
bool CanExtract(int flags);

// An image (1-based), or all with WIMLIB_ALL_IMAGES, each to a directory with its name. Reports what libwim reports.
// Throws WIM_CORRUPT naming the file with a damaged blob, which is not left; ABORTED; or libwim's codes: INVALID_IMAGE,
// PATH_DOES_NOT_EXIST, RESOURCE_NOT_FOUND, UNSUPPORTED, and those for what the system refuses, with its errno as cause.
void ExtractImage(const Extraction& extraction, int image, Observer& observer);
// Files and directories of an image (1-based).
void ExtractImagePaths(const Extraction& extraction, int image, const std::vector<std::string>& paths,
                       Observer& observer);

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_EXTRACTOR_H_
