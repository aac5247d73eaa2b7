// Compresses and decompresses one chunk at a time.
#ifndef STOWAGE_CODEC_H_
#define STOWAGE_CODEC_H_

#include <napi.h>

namespace stowage {

void RegisterCodec(Napi::Env env, Napi::Object exports);

}  // namespace stowage

#endif  // STOWAGE_CODEC_H_
