// For no-threads.test.ts, preloaded: while the file named by STOWAGE_NO_THREADS exists, the system starts no more
// threads than STOWAGE_SPARE_THREADS says (none, if it is unset), as under `docker run --pids-limit` or `ulimit -u`.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

typedef int (*create_thread)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);

static int started;

static int refused(void) {
  const char* flag = getenv("STOWAGE_NO_THREADS");
  if (flag == NULL || access(flag, F_OK) != 0) return 0;
  const char* spare = getenv("STOWAGE_SPARE_THREADS");
  return __atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST) > (spare == NULL ? 0 : atoi(spare));
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*), void* argument) {
  if (refused()) return EAGAIN;
  return ((create_thread)dlsym(RTLD_NEXT, "pthread_create"))(thread, attributes, run, argument);
}
