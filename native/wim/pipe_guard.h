// A WIM that comes out of a pipe, looked at before libwim gets it: what Archive and CheckTree() are for files.
// Source: wimlib, for the order of a pipable WIM: header, XML data, metadata of each image, then blobs, a 40-byte
// header before each.
#ifndef STOWAGE_WIM_PIPE_GUARD_H_
#define STOWAGE_WIM_PIPE_GUARD_H_

#include <functional>

#include "observer.h"

namespace stowage::wim {

// Calls `read` with the reading end of a pipe, which `read` closes; through it comes what `fd` gives, which stays the
// caller's. The XML data and the metadata of each image are held back until they are whole and right. Memory is taken
// for what has come, never for what is claimed: XML data have at most 64 MiB, metadata 4 GiB, and both have at most 512
// times what they are compressed to, or 16 MiB.
// Throws WIM_CORRUPT for what must not be passed on, UNSUPPORTED for chunks over 256 MiB, WIMLIB_ERR_READ with the
// errno, ABORTED within a tenth of a second once `observer` is cancelled even if nothing comes; else what `read`
// throws. On Windows nothing is held back: `read` gets a copy of `fd`.
void ReadGuarded(int fd, const Observer& observer, const std::function<void(int)>& read);

#ifndef _WIN32
// The guard itself: passes on from `from` to `to`, which does not block, until the input ends, nobody reads `to`, or
// `stopped` is true. A WIM that is not pipable is cut off behind its header. Throws as ReadGuarded().
void PassWim(int from, int to, const std::function<bool()>& stopped);
#endif

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_PIPE_GUARD_H_
