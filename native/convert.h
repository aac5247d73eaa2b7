// Converts the data of an operation to JavaScript values and back. Only on the JavaScript thread.
#ifndef STOWAGE_CONVERT_H_
#define STOWAGE_CONVERT_H_

#include <napi.h>

#include "wim/value.h"

namespace stowage {

// Copied out of V8: text (any UTF-16), number, boolean, Buffer, array, plain object, WimFile; nothing for null and
// undefined. Throws a TypeError for anything else.
wim::Value FromJavaScript(const Napi::Value& value);
wim::Object ObjectFromJavaScript(const Napi::Object& object);
Napi::Value ToJavaScript(Napi::Env env, const wim::Value& value);
// Bytes of a list become Buffers without being copied.
Napi::Value MoveToJavaScript(Napi::Env env, wim::Value value);

}  // namespace stowage

#endif  // STOWAGE_CONVERT_H_
