// BlobWriteJob: a transfer::BlobWriter on a thread of its own, steered and watched by JavaScript. Not on Windows.
#ifndef STOWAGE_BLOB_WRITE_JOB_H_
#define STOWAGE_BLOB_WRITE_JOB_H_

#include <napi.h>

#include "thread_job.h"
#include "transfer/blob_writer.h"

namespace stowage {

// { hex } of the tar, { failure: Error }, or neither: the blob is the tar.
Napi::Object PlainOf(Napi::Env env, const transfer::Plain& plain);

class BlobWriteJob : public ThreadJob<BlobWriteJob, transfer::BlobWriter> {
 public:
  static void Register(Napi::Env env, Napi::Object exports);
  explicit BlobWriteJob(const Napi::CallbackInfo& info);

 private:
  struct Events;

  void Ask(const Napi::CallbackInfo& info);
  void Land(const Napi::CallbackInfo& info);
  void Read(const Napi::CallbackInfo& info);
  void Leave(const Napi::CallbackInfo& info);
  void Keep(const Napi::CallbackInfo& info);
};

}  // namespace stowage

#endif  // STOWAGE_BLOB_WRITE_JOB_H_
