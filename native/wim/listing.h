// The files of an image, listed by our own readers: what libwim lists, without the time it takes to load a tree.
#ifndef STOWAGE_WIM_LISTING_H_
#define STOWAGE_WIM_LISTING_H_

#include <optional>

#include "archive.h"
#include "observer.h"
#include "value.h"

namespace stowage::wim {

// Lists a whole image (1-based), as it is in the file, in the format of EntryJson. Returns nothing if the tree has
// names that libwim drops or changes: libwim must list those. Throws WIM_CORRUPT, or ABORTED.
std::optional<Value> ListImageAsJson(const Archive& archive, uint32_t image, Observer& observer);

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_LISTING_H_
