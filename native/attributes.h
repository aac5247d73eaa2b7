// Extended attributes of files on disk, which Node.js has no call for.
#ifndef STOWAGE_ATTRIBUTES_H_
#define STOWAGE_ATTRIBUTES_H_

#include <napi.h>

void RegisterAttributes(Napi::Env env, Napi::Object exports);

#endif  // STOWAGE_ATTRIBUTES_H_
