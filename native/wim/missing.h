// How many blobs the images of a WIM use, and how many of them its files do not hold: those of a delta WIM's base.
#ifndef STOWAGE_WIM_MISSING_H_
#define STOWAGE_WIM_MISSING_H_

#include "observer.h"
#include "value.h"

namespace stowage::wim {

// The operation `countBlobs`: argument `wim`; returns { used, missing, images: { used, missing }[] }. A blob that
// several files use counts once, in the whole and in each image. It is the file that is read, not the WIM in memory.
// Throws WIM_CORRUPT if the metadata of an image cannot be read, or overlaps that of another.
Value CountBlobs(const Arguments& arguments, const Observer& observer);

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_MISSING_H_
