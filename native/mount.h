// mountImage(): for src/wim/mount-child.ts alone, because it ends the process where it succeeds.
#ifndef STOWAGE_MOUNT_H_
#define STOWAGE_MOUNT_H_

#include <napi.h>

void RegisterMount(Napi::Env env, Napi::Object exports);

#endif  // STOWAGE_MOUNT_H_
