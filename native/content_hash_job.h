// ContentHash: a transfer::ContentHash on a thread of its own, watched by JavaScript. Not on Windows.
#ifndef STOWAGE_CONTENT_HASH_JOB_H_
#define STOWAGE_CONTENT_HASH_JOB_H_

#include <napi.h>

#include "thread_job.h"
#include "transfer/content_hash.h"

namespace stowage {

class ContentHashJob : public ThreadJob<ContentHashJob, transfer::ContentHash> {
 public:
  static void Register(Napi::Env env, Napi::Object exports);
  explicit ContentHashJob(const Napi::CallbackInfo& info);

 private:
  struct Events;
};

}  // namespace stowage

#endif  // STOWAGE_CONTENT_HASH_JOB_H_
