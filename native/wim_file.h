// WimFile: an open WIM as JavaScript holds it.
#ifndef STOWAGE_WIM_FILE_WRAP_H_
#define STOWAGE_WIM_FILE_WRAP_H_

#include <napi.h>

#include <memory>

#include "wim/archive.h"

class WimFile : public Napi::ObjectWrap<WimFile> {
 public:
  static void Register(Napi::Env env, Napi::Object exports);
  explicit WimFile(const Napi::CallbackInfo& info);

  // The archive of a WimFile that came as an argument. Throws a JavaScript error when it is closed or no WimFile.
  static std::shared_ptr<const wim::Archive> ArchiveOf(const Napi::Value& value);

 private:
  static Napi::Value Open(const Napi::CallbackInfo& info);

  Napi::Value Info(const Napi::CallbackInfo& info);
  Napi::Value Xml(const Napi::CallbackInfo& info);
  Napi::Value Property(const Napi::CallbackInfo& info);
  Napi::Value Blobs(const Napi::CallbackInfo& info);
  Napi::Value ReadMetadata(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  std::shared_ptr<const wim::Archive> archive_;
};

#endif  // STOWAGE_WIM_FILE_WRAP_H_
