// mountImage() and unmountImage(): only for src/wim/mount-child.ts. The first ends the process if it succeeds; the
// second trusts what another process sends and cannot be stopped.
#ifndef STOWAGE_MOUNT_H_
#define STOWAGE_MOUNT_H_

#include <napi.h>

namespace stowage {

void RegisterMount(Napi::Env env, Napi::Object exports);

}  // namespace stowage

#endif  // STOWAGE_MOUNT_H_
