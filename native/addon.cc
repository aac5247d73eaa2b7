// The addon's door: registers what native/ offers to src/wim/binding.ts.
#include <napi.h>
#include <wimlib.h>

#include "addon_data.h"
#include "blob_stream.h"
#include "dentry_reader.h"
#include "layer_job.h"
#include "wim_file.h"

namespace {

// "1.13.6": from the number, because Debian's 1.13.6 calls itself 1.13.5 in words.
Napi::Value LibraryVersion(const Napi::CallbackInfo& info) {
  const uint32_t version = wimlib_get_version();
  const std::string text =
      std::to_string(version >> 20) + "." + std::to_string(version >> 10 & 1023) + "." + std::to_string(version & 1023);
  return Napi::String::New(info.Env(), text);
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new AddonData);  // freed by Node with the environment
  WimFile::Register(env, exports);
  DentryReader::Register(env);
  BlobStream::Register(env, exports);
  LayerJob::Register(env, exports);
  exports.Set("libraryVersion", Napi::Function::New<LibraryVersion>(env, "libraryVersion"));
  return exports;
}

}  // namespace

NODE_API_MODULE(stowage, Init)
