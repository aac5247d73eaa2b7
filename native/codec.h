// libwim's codecs for one chunk at a time.
#ifndef STOWAGE_CODEC_H_
#define STOWAGE_CODEC_H_

#include <napi.h>

void RegisterCodec(Napi::Env env, Napi::Object exports);

#endif  // STOWAGE_CODEC_H_
