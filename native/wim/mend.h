// Puts right in a WIM what libwim before 1.14.2 wrote: see directory_streams.h.
#ifndef STOWAGE_WIM_MEND_H_
#define STOWAGE_WIM_MEND_H_

#include <wimlib.h>

#include <cstdint>
#include <string>

#include "observer.h"

namespace stowage::wim {

// Whether the libwim in use writes what has to be mended. If not, all below do nothing but what their names say.
bool LibraryWritesOldForm();

struct MendOptions {
  // Of the metadata that is compressed again: as libwim's.
  unsigned level = 0;
  // 0: one for each processor.
  unsigned threads = 0;
  // Whether the file is complete on the medium when the call returns.
  bool sync = false;
};

// Mends a file that nobody else uses yet: a new one, under a temporary name. Only what follows the blobs is written;
// of a pipable WIM, all of it, to another file that takes its place.
void MendNew(const std::string& path, const MendOptions& options, const Observer& observer);

// A WIM file before libwim changes it.
struct WimBefore {
  uint64_t identity = 0;
  // Where it ends, by its header.
  uint64_t end = 0;
  // libwim moves what is in the file (WIMLIB_WRITE_FLAG_UNSAFE_COMPACT).
  bool compacted = false;
};
WimBefore LookBefore(const std::string& path);

// Mends a file that others may read meanwhile, and that is a whole WIM whenever this is interrupted: new metadata, blob
// table and XML come after the end, then the header that names them; then, if there is room, the same takes the place
// of what libwim wrote. In between it has no integrity table. What the file had before is not written over, but for the
// header. Throws WIMLIB_ERR_ALREADY_LOCKED.
void MendInPlace(const std::string& path, const WimBefore& before, const MendOptions& options,
                 const Observer& observer);

// Whether metadata of `image` (1-based, or WIMLIB_ALL_IMAGES) may have to be mended when `wim` is written. False only
// if it has not.
bool MayNeedMending(WIMStruct* wim, int image);

bool CanSeek(int fd);

// Writes the WIM at `path` to a descriptor, mended. Throws ABORTED, or an errno's Error.
void SendMended(const std::string& path, int fd, const MendOptions& options, const Observer& observer);

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_MEND_H_
