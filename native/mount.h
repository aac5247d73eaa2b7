// mountImage() and unmountImage(): for src/wim/mount-child.ts alone. One ends the process where it succeeds; the other
// trusts what another process sends, and cannot be stopped.
#ifndef STOWAGE_MOUNT_H_
#define STOWAGE_MOUNT_H_

#include <napi.h>

namespace stowage {

void RegisterMount(Napi::Env env, Napi::Object exports);

}  // namespace stowage

#endif  // STOWAGE_MOUNT_H_
