// RecoveryCheck and RecoveryCode: the checksums of blocks, and the coding of a recovery set, on threads of their own.
#ifndef STOWAGE_RECOVERY_JOB_H_
#define STOWAGE_RECOVERY_JOB_H_

#include <napi.h>

#include "recovery/block_check.h"
#include "recovery/coder.h"
#include "thread_job.h"

namespace stowage {

class RecoveryCheck : public ThreadJob<RecoveryCheck, recovery::BlockCheck> {
 public:
  static void Register(Napi::Env env, Napi::Object exports);
  explicit RecoveryCheck(const Napi::CallbackInfo& info);

 private:
  struct Events;
};

class RecoveryCode : public ThreadJob<RecoveryCode, recovery::Coder> {
 public:
  static void Register(Napi::Env env, Napi::Object exports);
  explicit RecoveryCode(const Napi::CallbackInfo& info);

 private:
  struct Events;
};

}  // namespace stowage

#endif  // STOWAGE_RECOVERY_JOB_H_
