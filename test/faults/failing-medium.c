/*
 * A stand-in for a medium with a defect. Reads of files whose path has $STOWAGE_FAILING_READS in it, and writes to
 * files whose path has $STOWAGE_FAILING_WRITES in it, fail with the number $STOWAGE_FAILING_ERRNO once
 * $STOWAGE_FAILING_AFTER bytes (0) have passed. With $STOWAGE_FAILING_MOUNT they do not fail: the file system that is
 * mounted there is unmounted at that moment, as by the system after a stick was pulled, and whatever is opened, fails
 * from then on.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long passed;
static atomic_flag unmounted = ATOMIC_FLAG_INIT;

static long number(const char* name, long otherwise) {
  const char* value = getenv(name);
  return value ? atol(value) : otherwise;
}

/** The reason for which `size` bytes of the file cannot pass; 0 if they can. */
static int reason(int fd, const char* variable, size_t size) {
  const char* part = getenv(variable);
  if (!part) return 0;
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  if (!strstr(path, part)) return 0;
  if (atomic_fetch_add(&passed, (long)size) + (long)size <= number("STOWAGE_FAILING_AFTER", 0)) return 0;
  const char* mount = getenv("STOWAGE_FAILING_MOUNT");
  if (mount && !atomic_flag_test_and_set(&unmounted)) umount2(mount, MNT_DETACH);
  return (int)number("STOWAGE_FAILING_ERRNO", EIO);
}

static size_t total(const struct iovec* parts, int count) {
  size_t size = 0;
  for (int n = 0; n < count; n++) size += parts[n].iov_len;
  return size;
}

#define FAIL_OR(which, bytes, name, type, params, ...)   \
  type name params {                                     \
    static type(*real) params;                           \
    if (!real) *(void**)&real = dlsym(RTLD_NEXT, #name); \
    int error = reason(fd, which, bytes);                \
    if (error) {                                         \
      errno = error;                                     \
      return -1;                                         \
    }                                                    \
    return real(__VA_ARGS__);                            \
  }
#define READ(bytes, name, type, params, ...) FAIL_OR("STOWAGE_FAILING_READS", bytes, name, type, params, __VA_ARGS__)
#define WRITE(bytes, name, type, params, ...) FAIL_OR("STOWAGE_FAILING_WRITES", bytes, name, type, params, __VA_ARGS__)

READ(size, read, ssize_t, (int fd, void* data, size_t size), fd, data, size)
READ(size, pread, ssize_t, (int fd, void* data, size_t size, off_t at), fd, data, size, at)
READ(size, pread64, ssize_t, (int fd, void* data, size_t size, off_t at), fd, data, size, at)
READ(total(parts, count), readv, ssize_t, (int fd, const struct iovec* parts, int count), fd, parts, count)
READ(total(parts, count), preadv, ssize_t, (int fd, const struct iovec* parts, int count, off_t at), fd, parts, count,
     at)
READ(total(parts, count), preadv64, ssize_t, (int fd, const struct iovec* parts, int count, off_t at), fd, parts, count,
     at)
WRITE(size, write, ssize_t, (int fd, const void* data, size_t size), fd, data, size)
WRITE(size, pwrite, ssize_t, (int fd, const void* data, size_t size, off_t at), fd, data, size, at)
WRITE(size, pwrite64, ssize_t, (int fd, const void* data, size_t size, off_t at), fd, data, size, at)
WRITE(total(parts, count), writev, ssize_t, (int fd, const struct iovec* parts, int count), fd, parts, count)
WRITE(total(parts, count), pwritev, ssize_t, (int fd, const struct iovec* parts, int count, off_t at), fd, parts, count,
      at)
WRITE(total(parts, count), pwritev64, ssize_t, (int fd, const struct iovec* parts, int count, off_t at), fd, parts,
      count, at)
WRITE(1, fsync, int, (int fd), fd)
WRITE(1, fdatasync, int, (int fd), fd)
WRITE(1, ftruncate, int, (int fd, off_t size), fd, size)
WRITE(1, ftruncate64, int, (int fd, off_t size), fd, size)
