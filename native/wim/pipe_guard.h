// Checks a WIM from a pipe before libwim gets it, as Archive and CheckTree() check files. Source: wimlib, for the order
// of a pipable WIM: header, XML data, metadata of each image, then blobs, a 40-byte header before each.
#ifndef STOWAGE_WIM_PIPE_GUARD_H_
#define STOWAGE_WIM_PIPE_GUARD_H_

#include <functional>

#include "observer.h"

namespace stowage::wim {

// Calls `read` with the reading end of a pipe, which `read` closes. It delivers the bytes of `fd`, which the caller
// keeps. The XML data and the metadata of each image are held back until they are complete and checked. Memory is
// allocated for bytes received, never for sizes claimed: XML data may have 64 MiB, metadata 4 GiB, and either 512 times
// its compressed size, or 16 MiB. Throws WIM_CORRUPT for what must not be passed on, UNSUPPORTED for chunks over 256
// MiB, WIMLIB_ERR_READ with the errno, ABORTED within a tenth of a second once `observer` is cancelled, even if no
// bytes come, or what `read` throws. On Windows nothing is held back: `read` gets a copy of `fd`.
void ReadGuarded(int fd, const Observer& observer, const std::function<void(int)>& read);

#ifndef _WIN32
// The guard itself: copies from `from` to `to`, which does not block, until the input ends, `to` has no reader any
// more, or `stopped` returns true. A WIM that is not pipable is cut off after its header. Throws as ReadGuarded().
void PassWim(int from, int to, const std::function<bool()>& stopped);
#endif

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_PIPE_GUARD_H_
