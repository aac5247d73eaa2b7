/*
 * A stand-in for a stick with a defect: reads of the file whose path ends in $STOWAGE_FAILING_FILE fail with EIO, and
 * writes to files whose path has $STOWAGE_FAILING_WRITES in it with the number $STOWAGE_FAILING_ERRNO.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static ssize_t path_of(int fd, char* path, size_t room) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, path, room - 1);
  if (size >= 0) path[size] = 0;
  return size;
}

static int reading(int fd) {
  const char* end = getenv("STOWAGE_FAILING_FILE");
  char path[4096];
  ssize_t size = end ? path_of(fd, path, sizeof path) : -1;
  return size >= (ssize_t)(end ? strlen(end) : 0) && strcmp(path + size - strlen(end), end) == 0 ? EIO : 0;
}

static int writing(int fd) {
  const char *part = getenv("STOWAGE_FAILING_WRITES"), *number = getenv("STOWAGE_FAILING_ERRNO");
  char path[4096];
  if (!part || !number || path_of(fd, path, sizeof path) < 0) return 0;
  return strstr(path, part) ? atoi(number) : 0;
}

#define FAIL_OR(failing, name, type, params, ...)        \
  type name params {                                     \
    static type(*real) params;                           \
    if (!real) *(void**)&real = dlsym(RTLD_NEXT, #name); \
    int reason = failing(fd);                            \
    if (reason) {                                        \
      errno = reason;                                    \
      return -1;                                         \
    }                                                    \
    return real(__VA_ARGS__);                            \
  }

FAIL_OR(reading, read, ssize_t, (int fd, void* data, size_t size), fd, data, size)
FAIL_OR(reading, pread, ssize_t, (int fd, void* data, size_t size, off_t at), fd, data, size, at)
FAIL_OR(reading, pread64, ssize_t, (int fd, void* data, size_t size, off_t at), fd, data, size, at)
FAIL_OR(reading, readv, ssize_t, (int fd, const struct iovec* parts, int count), fd, parts, count)
FAIL_OR(reading, preadv, ssize_t, (int fd, const struct iovec* parts, int count, off_t at), fd, parts, count, at)
FAIL_OR(reading, preadv64, ssize_t, (int fd, const struct iovec* parts, int count, off_t at), fd, parts, count, at)
FAIL_OR(writing, write, ssize_t, (int fd, const void* data, size_t size), fd, data, size)
FAIL_OR(writing, pwrite, ssize_t, (int fd, const void* data, size_t size, off_t at), fd, data, size, at)
FAIL_OR(writing, pwrite64, ssize_t, (int fd, const void* data, size_t size, off_t at), fd, data, size, at)
FAIL_OR(writing, writev, ssize_t, (int fd, const struct iovec* parts, int count), fd, parts, count)
FAIL_OR(writing, pwritev, ssize_t, (int fd, const struct iovec* parts, int count, off_t at), fd, parts, count, at)
FAIL_OR(writing, pwritev64, ssize_t, (int fd, const struct iovec* parts, int count, off_t at), fd, parts, count, at)
