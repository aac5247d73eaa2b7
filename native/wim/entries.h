// The files and blobs of a WIM as libwim lists them, with what was changed in memory.
#ifndef STOWAGE_WIM_ENTRIES_H_
#define STOWAGE_WIM_ENTRIES_H_

#include <wimlib.h>

#include <string>

#include "observer.h"
#include "value.h"

namespace stowage::wim {

// The tree of `image` at `path`, depth first: what EntryPack gives.
Value ListEntries(WIMStruct* wim, int image, const std::string& path, int flags, Observer& observer);
// The same as JSON: what EntryJson gives.
Value ListEntriesAsJson(WIMStruct* wim, int image, const std::string& path, int flags, Observer& observer);
// The blobs, metadata resources first: one record of PackResource() each.
Value ListResources(WIMStruct* wim);

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_ENTRIES_H_
