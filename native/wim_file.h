// WimFile: an open WIM as JavaScript holds it.
#ifndef STOWAGE_WIM_FILE_WRAP_H_
#define STOWAGE_WIM_FILE_WRAP_H_

#include <napi.h>

#include <memory>

#include "wim/wim_struct.h"

namespace stowage {

class WimFile : public Napi::ObjectWrap<WimFile> {
 public:
  static void Register(Napi::Env env);
  static Napi::Object New(Napi::Env env, std::shared_ptr<const wim::OpenWim> wim);
  explicit WimFile(const Napi::CallbackInfo& info);

  static bool Is(const Napi::Value& value);
  // The WIM behind a WimFile that came as an argument. Throws a JavaScript error if it is closed or not a WimFile.
  static std::shared_ptr<const wim::OpenWim> WimOf(const Napi::Value& value);
  // Its files; also throws if there are none yet.
  static std::shared_ptr<const wim::Archive> ArchiveOf(const Napi::Value& value);

 private:
  Napi::Value Info(const Napi::CallbackInfo& info);
  Napi::Value Paths(const Napi::CallbackInfo& info);
  Napi::Value IsOpened(const Napi::CallbackInfo& info);
  Napi::Value Property(const Napi::CallbackInfo& info);
  Napi::Value Xml(const Napi::CallbackInfo& info);
  Napi::Value Blobs(const Napi::CallbackInfo& info);
  Napi::Value FindBlob(const Napi::CallbackInfo& info);
  Napi::Value ReadMetadata(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  std::shared_ptr<const wim::OpenWim> wim_;
};

}  // namespace stowage

#endif  // STOWAGE_WIM_FILE_WRAP_H_
