// DentryReader: the dentries of one image, handed to JavaScript in batches.
#ifndef STOWAGE_DENTRY_READER_H_
#define STOWAGE_DENTRY_READER_H_

#include <napi.h>

#include <memory>

#include "wim/archive.h"

namespace stowage {

struct ImageMetadata {
  std::shared_ptr<const wim::Archive> archive;
  std::shared_ptr<const wim::Metadata> metadata;
};

class DentryReader : public Napi::ObjectWrap<DentryReader> {
 public:
  static void Register(Napi::Env env);
  static Napi::Value New(Napi::Env env, ImageMetadata& metadata);
  explicit DentryReader(const Napi::CallbackInfo& info);

 private:
  Napi::Value Security(const Napi::CallbackInfo& info);
  Napi::Value Next(const Napi::CallbackInfo& info);

  ImageMetadata image_;
  size_t next_ = 0;
};

}  // namespace stowage

#endif  // STOWAGE_DENTRY_READER_H_
