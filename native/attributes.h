// Extended attributes of files on disk, which Node.js has no call for.
#ifndef STOWAGE_ATTRIBUTES_H_
#define STOWAGE_ATTRIBUTES_H_

#include <napi.h>

namespace stowage {

void RegisterAttributes(Napi::Env env, Napi::Object exports);

}  // namespace stowage

#endif  // STOWAGE_ATTRIBUTES_H_
