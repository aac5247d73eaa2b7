// Mounting an image of a WIM and unmounting it, each for a process that has nothing else to do.
#ifndef STOWAGE_WIM_MOUNT_H_
#define STOWAGE_WIM_MOUNT_H_

#include <string>

#include "observer.h"
#include "value.h"

namespace stowage::wim {

// Opens the WIM and mounts one image of it. Where it succeeds, libwim ends this process with status 0 and goes on in a
// process that it forked, which is gone when the image is unmounted and never returns from here. With
// WIMLIB_MOUNT_FLAG_DEBUG it forks none, and returns once the image is unmounted.
// { paths, references, openFlags, image: number or name, directory, stagingDirectory?, flags }
// Throws what opening a WIM throws, IMAGE_NOT_FOUND, or WIMLIB_ERR_*; what libfuse says goes to stderr.
void MountImage(const Object& request);

// Returns when the changes are written, where `flags` asks for that. libwim cannot be stopped on the way.
void UnmountImage(const std::string& directory, int flags, Observer& observer);

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_MOUNT_H_
