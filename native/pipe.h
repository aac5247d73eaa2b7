// A pipe of the system: how a stream of JavaScript meets a file descriptor of libwim.
#ifndef STOWAGE_PIPE_H_
#define STOWAGE_PIPE_H_

#include <napi.h>

namespace stowage {

void RegisterPipe(Napi::Env env, Napi::Object exports);

}  // namespace stowage

#endif  // STOWAGE_PIPE_H_
