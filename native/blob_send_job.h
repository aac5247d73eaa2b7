// BlobSendJob: a transfer::BlobSender on a thread of its own. Not on Windows.
#ifndef STOWAGE_BLOB_SEND_JOB_H_
#define STOWAGE_BLOB_SEND_JOB_H_

#include <napi.h>

#include "thread_job.h"
#include "transfer/blob_sender.h"

namespace stowage {

class BlobSendJob : public ThreadJob<BlobSendJob, transfer::BlobSender> {
 public:
  static void Register(Napi::Env env, Napi::Object exports);
  explicit BlobSendJob(const Napi::CallbackInfo& info);

 private:
  struct Events;
};

// { addresses: string[], port, connectTimeout, silence }
transfer::Place PlaceOf(const Napi::Object& request);
// { head: Buffer }
std::string HeadOf(const Napi::Object& request);

}  // namespace stowage

#endif  // STOWAGE_BLOB_SEND_JOB_H_
