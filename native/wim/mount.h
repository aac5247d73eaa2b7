// Mounts an image of a WIM and unmounts it, each in a process of its own.
#ifndef STOWAGE_WIM_MOUNT_H_
#define STOWAGE_WIM_MOUNT_H_

#include <string>

#include "observer.h"
#include "value.h"

namespace stowage::wim {

// Opens the WIM and mounts one image of it. If that succeeds, libwim ends this process with status 0 and continues in a
// forked process, which exits when the image is unmounted and never returns from here. With WIMLIB_MOUNT_FLAG_DEBUG it
// does not fork, and returns once the image is unmounted.
// `request`: { paths, references, openFlags, image: number or name, directory, stagingDirectory?, flags }.
// Throws what opening a WIM throws, IMAGE_NOT_FOUND, or WIMLIB_ERR_*; libfuse prints its messages to stderr.
void MountImage(const Object& request);

// Returns once the changes are written, if `flags` asks for that. libwim cannot be stopped before.
void UnmountImage(const std::string& directory, int flags, Observer& observer);

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_MOUNT_H_
