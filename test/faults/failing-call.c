/*
 * A stand-in for a medium on which one call fails, or all from one on. Of the calls that $STOWAGE_FAILING_CALL names,
 * about paths that begin with $STOWAGE_FAILING_IN, the one with the number $STOWAGE_FAILING_NTH (1: the first) fails
 * with $STOWAGE_FAILING_ERRNO, and those after it if $STOWAGE_FAILING_ON is set. All calls are listed in
 * $STOWAGE_FAILING_LOG, a line each.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_int count;

static void tell(const char* call, const char* path) {
  const char* log = getenv("STOWAGE_FAILING_LOG");
  if (!log) return;
  char line[4200];
  int length = snprintf(line, sizeof line, "%s %s\n", call, path);
  int fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT, 0644);
  syscall(SYS_write, fd, line, length);
  syscall(SYS_close, fd);
}

/** Whether this call fails; errno is set then. */
static int fails(const char* call, const char* path) {
  const char* in = getenv("STOWAGE_FAILING_IN");
  if (!in || !path || strncmp(path, in, strlen(in))) return 0;
  const char* wanted = getenv("STOWAGE_FAILING_CALL");
  if (wanted && strcmp(wanted, call)) return 0;
  const char* nth = getenv("STOWAGE_FAILING_NTH");
  int number = atomic_fetch_add(&count, 1) + 1;
  if (!nth) tell(call, path);
  if (!nth || (getenv("STOWAGE_FAILING_ON") ? number < atoi(nth) : number != atoi(nth))) return 0;
  tell(call, path);
  errno = atoi(getenv("STOWAGE_FAILING_ERRNO"));
  return 1;
}

/** The path of an open file, in `path`. */
static const char* path_of(int fd, char path[4096]) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = syscall(SYS_readlink, link, path, 4095);
  if (length < 0) return NULL;
  path[length] = 0;
  return path;
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define PATH(type, failure, call, path, name, params, ...)  \
  type name params {                                        \
    REAL(name);                                             \
    return fails(call, path) ? failure : real(__VA_ARGS__); \
  }
#define FD(call, name, params, ...)                                 \
  int name params {                                                 \
    REAL(name);                                                     \
    char path[4096];                                                \
    return fails(call, path_of(fd, path)) ? -1 : real(__VA_ARGS__); \
  }
#define OPEN(name)                                                                                          \
  int name(const char* path, int flags, ...) {                                                              \
    REAL(name);                                                                                             \
    va_list rest;                                                                                           \
    va_start(rest, flags);                                                                                  \
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;                                               \
    va_end(rest);                                                                                           \
    return fails((flags & O_ACCMODE) != O_RDONLY ? "create" : "open", path) ? -1 : real(path, flags, mode); \
  }

OPEN(open)
OPEN(open64)
PATH(int, -1, "rename", to, rename, (const char* from, const char* to), from, to)
PATH(int, -1, "mkdir", path, mkdir, (const char* path, mode_t mode), path, mode)
PATH(char*, NULL, "mkdir", path, mkdtemp, (char* path), path)
PATH(int, -1, "rmdir", path, rmdir, (const char* path), path)
PATH(int, -1, "unlink", path, unlink, (const char* path), path)
PATH(int, -1, "chmod", path, chmod, (const char* path, mode_t mode), path, mode)
PATH(DIR*, NULL, "list", path, opendir, (const char* path), path)
PATH(int, -1, "list", path, scandir,
     (const char* path, struct dirent*** list, int (*filter)(const struct dirent*),
      int (*order)(const struct dirent**, const struct dirent**)),
     path, list, filter, order)
PATH(int, -1, "list", path, scandir64,
     (const char* path, struct dirent64*** list, int (*filter)(const struct dirent64*),
      int (*order)(const struct dirent64**, const struct dirent64**)),
     path, list, filter, order)
FD("fsync", fsync, (int fd), fd)
FD("fsync", fdatasync, (int fd), fd)
FD("ftruncate", ftruncate, (int fd, off_t size), fd, size)
FD("ftruncate", ftruncate64, (int fd, off64_t size), fd, size)
