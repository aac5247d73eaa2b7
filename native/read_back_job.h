// ReadBack: a medium::ReadBack on a thread of its own, and dropPages().
#ifndef STOWAGE_READ_BACK_JOB_H_
#define STOWAGE_READ_BACK_JOB_H_

#include <napi.h>

#include "medium/read_back.h"
#include "thread_job.h"

namespace stowage {

class ReadBackJob : public ThreadJob<ReadBackJob, medium::ReadBack> {
 public:
  static void Register(Napi::Env env, Napi::Object exports);
  explicit ReadBackJob(const Napi::CallbackInfo& info);

 private:
  struct Events;
};

}  // namespace stowage

#endif  // STOWAGE_READ_BACK_JOB_H_
