// The dentries and blobs of a WIM as libwim lists them, packed for JavaScript; src/wim/entry.ts unpacks them.
#ifndef STOWAGE_WIM_ENTRIES_H_
#define STOWAGE_WIM_ENTRIES_H_

#include <wimlib.h>

#include <string>

#include "observer.h"
#include "value.h"

namespace stowage::wim {

// { batches: list of bytes, security: list of bytes }: the tree of `image` at `path`, depth first.
Value ListEntries(WIMStruct* wim, int image, const std::string& path, int flags, Observer& observer);
// The same as JSON: a list of bytes, each a piece of text with a line for each file, commas between them. What a line
// holds is in docs/wim.md.
Value ListEntriesAsJson(WIMStruct* wim, int image, const std::string& path, int flags, Observer& observer);
// The blobs, metadata resources first: one record each.
Value ListResources(WIMStruct* wim);

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_ENTRIES_H_
