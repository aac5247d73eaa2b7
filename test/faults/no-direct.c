/* A stand-in for file systems that refuse O_DIRECT, which is asked for with fcntl() when a file is read back. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>

#define REFUSING(name)                                    \
  int name(int fd, int command, ...) {                    \
    static int (*real)(int, int, ...);                    \
    va_list rest;                                         \
    va_start(rest, command);                              \
    void *value = va_arg(rest, void *);                   \
    va_end(rest);                                         \
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name); \
    if (command == F_SETFL && ((long)value & O_DIRECT)) { \
      errno = EINVAL;                                     \
      return -1;                                          \
    }                                                     \
    return real(fd, command, value);                      \
  }

REFUSING(fcntl)
REFUSING(fcntl64)
