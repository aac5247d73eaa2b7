// A pipe, which connects a JavaScript stream to a file descriptor that libwim reads or writes.
#ifndef STOWAGE_PIPE_H_
#define STOWAGE_PIPE_H_

#include <napi.h>

namespace stowage {

void RegisterPipe(Napi::Env env, Napi::Object exports);

}  // namespace stowage

#endif  // STOWAGE_PIPE_H_
