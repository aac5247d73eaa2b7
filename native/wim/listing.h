// The files and blobs of a WIM as it is in its files, listed by our own readers: what libwim lists, without the time it
// takes to load a tree.
#ifndef STOWAGE_WIM_LISTING_H_
#define STOWAGE_WIM_LISTING_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "archive.h"
#include "observer.h"
#include "value.h"

namespace stowage::wim {

struct ListingScope {
  // 1-based.
  std::vector<uint32_t> images;
  std::string path;
  // WIMLIB_ITERATE_DIR_TREE_FLAG_*.
  int flags = 0;
};

// What happens to an image with names that libwim drops or changes.
enum class OddNames { kLeft, kDropped };  // kLeft: to libwim, which must list it

// What EntryPack gives; nothing for an image with odd names, if these are left. Throws WIM_CORRUPT, ABORTED,
// WIMLIB_ERR_PATH_DOES_NOT_EXIST, or WIMLIB_ERR_RESOURCE_NOT_FOUND.
std::optional<Value> ListImages(const Archive& archive, const ListingScope& scope, OddNames odd, Observer& observer);
// The same as JSON: what EntryJson gives.
std::optional<Value> ListImagesAsJson(const Archive& archive, const ListingScope& scope, OddNames odd,
                                      Observer& observer);
// The blobs, metadata resources first: one record of PackResource() each.
Value ListBlobs(const BlobTable& table);

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_LISTING_H_
