#include "pipe.h"

#ifndef _WIN32

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "../base/error.h"

namespace stowage::wim {

std::pair<int, int> MakePipe() {
  int ends[2];
#ifdef __linux__
  if (pipe2(ends, O_CLOEXEC) != 0) throw SystemError(errno, "create a pipe");
  // The most that an unprivileged process may ask for, so that fewer system calls are needed. A smaller pipe works too.
  (void)fcntl(ends[0], F_SETPIPE_SZ, 1 << 20);
#else
  if (pipe(ends) != 0) throw SystemError(errno, "create a pipe");
  for (const int end : ends) (void)fcntl(end, F_SETFD, FD_CLOEXEC);
#endif
  return {ends[0], ends[1]};
}

}  // namespace stowage::wim

#endif
