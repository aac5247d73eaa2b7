/* A stand-in for a stick with a defect: reads of the file whose path ends in $STOWAGE_FAILING_FILE fail with EIO. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int failing(int fd) {
  const char *end = getenv("STOWAGE_FAILING_FILE");
  char link[64], path[4096];
  if (!end) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, path, sizeof path - 1);
  if (size < 0) return 0;
  path[size] = 0;
  return (size_t)size >= strlen(end) && strcmp(path + size - strlen(end), end) == 0;
}

#define FAIL_OR(name, type, params, ...)                  \
  type name params {                                      \
    static type(*real) params;                            \
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name); \
    if (failing(fd)) {                                    \
      errno = EIO;                                        \
      return -1;                                          \
    }                                                     \
    return real(__VA_ARGS__);                             \
  }

FAIL_OR(read, ssize_t, (int fd, void *data, size_t size), fd, data, size)
FAIL_OR(pread, ssize_t, (int fd, void *data, size_t size, off_t at), fd, data, size, at)
FAIL_OR(pread64, ssize_t, (int fd, void *data, size_t size, off_t at), fd, data, size, at)
FAIL_OR(readv, ssize_t, (int fd, const struct iovec *parts, int count), fd, parts, count)
FAIL_OR(preadv, ssize_t, (int fd, const struct iovec *parts, int count, off_t at), fd, parts, count, at)
FAIL_OR(preadv64, ssize_t, (int fd, const struct iovec *parts, int count, off_t at), fd, parts, count, at)
