#include "pipe.h"

#include <cerrno>

#include "promise_worker.h"

#ifndef _WIN32
#include <fcntl.h>
#include <unistd.h>
#endif

namespace {

// openPipe(): { read: number, write: number }: file descriptors, both blocking. Whoever calls it closes them.
Napi::Value OpenPipe(const Napi::CallbackInfo& info) {
#ifdef _WIN32
  throw ToJavaScript(info.Env(), wim::Error("UNSUPPORTED", "on Windows libwim writes to files, not to streams"));
#else
  int ends[2];
#ifdef __linux__
  if (pipe2(ends, O_CLOEXEC) != 0) throw ToJavaScript(info.Env(), wim::SystemError(errno, "make a pipe"));
  // As much as an unprivileged process may ask for: fewer turns for the same bytes. A smaller one works too.
  (void)fcntl(ends[0], F_SETPIPE_SZ, 1 << 20);
#else
  if (pipe(ends) != 0) throw ToJavaScript(info.Env(), wim::SystemError(errno, "make a pipe"));
  for (const int end : ends) (void)fcntl(end, F_SETFD, FD_CLOEXEC);
#endif
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("read", ends[0]);
  result.Set("write", ends[1]);
  return result;
#endif
}

}  // namespace

void RegisterPipe(Napi::Env env, Napi::Object exports) {
  exports.Set("openPipe", Napi::Function::New<OpenPipe>(env, "openPipe"));
}
