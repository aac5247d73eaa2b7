// The files of an image, listed by our own readers: what libwim lists, without the time it takes to load a tree.
#ifndef STOWAGE_WIM_LISTING_H_
#define STOWAGE_WIM_LISTING_H_

#include <optional>

#include "archive.h"
#include "observer.h"
#include "value.h"

namespace stowage::wim {

// A whole image (1-based) as it stands in the file, as EntryJson has it. Nothing where the tree has names that libwim
// drops or changes: those are libwim's to list. Throws WIM_CORRUPT, or ABORTED.
std::optional<Value> ListImageAsJson(const Archive& archive, uint32_t image, Observer& observer);

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_LISTING_H_
