// The addon's entry point: registers what native/ offers to src/wim/binding.ts.
#include <libdeflate.h>
#include <lzma.h>
#include <napi.h>
#include <zstd.h>

#include "addon_data.h"
#include "attributes.h"
#include "blob_stream.h"
#include "capture_job.h"
#include "codec.h"
#include "dentry_reader.h"
#include "layer_job.h"
#include "layer_reader.h"
#include "mount.h"
#include "pipe.h"
#include "promise_worker.h"
#include "read_back_job.h"
#include "recovery_job.h"
#include "running_hash.h"
#include "stream_codec.h"
#include "wim/library.h"
#include "wim_file.h"
#include "wim_job.h"
#ifndef _WIN32
#include "blob_send_job.h"
#include "blob_write_job.h"
#include "content_hash_job.h"
#endif

namespace stowage {

namespace {

// "1.13.6": from the number, because Debian's 1.13.6 calls itself 1.13.5 in its version text.
Napi::Value LibraryVersion(const Napi::CallbackInfo& info) {
  try {
    return Napi::String::New(info.Env(), wim::VersionText(wim::Libwim().get_version()));
  } catch (const Error& error) {
    throw ToJavaScript(info.Env(), error);
  }
}

// compressors(): { libdeflate: string, zstd: string, liblzma: string }, their releases.
Napi::Value CompressorReleases(const Napi::CallbackInfo& info) {
  Napi::Object releases = Napi::Object::New(info.Env());
  releases.Set("libdeflate", LIBDEFLATE_VERSION_STRING);
  releases.Set("zstd", ZSTD_versionString());
  releases.Set("liblzma", lzma_version_string());
  return releases;
}

// setUp(flags: number): libwim's WIMLIB_INIT_FLAG_*, before the first WIM.
Napi::Value SetUp(const Napi::CallbackInfo& info) {
  try {
    wim::SetLibraryFlags(info[0].As<Napi::Number>());
  } catch (const Error& error) {
    throw ToJavaScript(info.Env(), error);
  }
  return info.Env().Undefined();
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new AddonData);  // freed by Node with the environment
  WimFile::Register(env);
  DentryReader::Register(env);
  BlobStream::Register(env, exports);
  LayerJob::Register(env, exports);
  LayerReader::Register(env, exports);
  CaptureJob::Register(env, exports);
  WimJob::Register(env, exports);
  RecoveryCheck::Register(env, exports);
  RecoveryCode::Register(env, exports);
  ReadBackJob::Register(env, exports);
  RunningHash::Register(env, exports);
  StreamCodec::Register(env, exports);
#ifndef _WIN32
  BlobSendJob::Register(env, exports);
  BlobWriteJob::Register(env, exports);
  ContentHashJob::Register(env, exports);
#endif
  RegisterPipe(env, exports);
  RegisterAttributes(env, exports);
  RegisterCodec(env, exports);
  RegisterMount(env, exports);
  exports.Set("compressors", Napi::Function::New<CompressorReleases>(env, "compressors"));
  exports.Set("setUp", Napi::Function::New<SetUp>(env, "setUp"));
  exports.Set("libraryVersion", Napi::Function::New<LibraryVersion>(env, "libraryVersion"));
  return exports;
}

}  // namespace

NODE_API_MODULE(stowage, Init)

}  // namespace stowage
