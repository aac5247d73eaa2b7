/*
 * A stand-in for the disk in a stick that lies: the file `disk` in a FUSE file system, to be attached as a loop device.
 *
 *   lying-disk DIRECTORY CLAIMED REAL drop|wrap
 *
 * It claims CLAIMED bytes and has REAL. What is written beyond is acknowledged, and lost (drop) or put where the
 * counting begins again (wrap). From SIGUSR1 on, every fourth write is acknowledged and lost; from SIGUSR2 on, every
 * read takes 20 ms. Format: linux/fuse.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { DISK = 2, MOST = 128 * 1024 };

static uint64_t claimed, real;
static int wraps, device;
static uint8_t *disk;
static volatile sig_atomic_t losing, slow;

static void lose(int number) { (void)number, losing = 1; }
static void slow_down(int number) { (void)number, slow = 1; }

static void answer(uint64_t unique, int error, const void *data, size_t size) {
  struct fuse_out_header head = {.len = (uint32_t)(sizeof head + size), .error = error, .unique = unique};
  struct iovec parts[2] = {{&head, sizeof head}, {(void *)data, size}};
  if (writev(device, parts, size > 0 ? 2 : 1) < 0 && errno != ENOENT) perror("lying-disk");
}

static struct fuse_attr attributes(uint64_t node) {
  struct fuse_attr attr = {.ino = node, .nlink = 1, .blksize = 4096};
  attr.mode = node == DISK ? S_IFREG | 0600 : S_IFDIR | 0700;
  attr.size = node == DISK ? claimed : 0;
  attr.blocks = attr.size / 512;
  return attr;
}

/* Copies between `data` and where the disk keeps the bytes at `offset`. */
static void copy(uint64_t offset, uint8_t *data, size_t size, int write) {
  for (size_t done = 0; done < size; done += 512) {
    uint64_t at = offset + done;
    if (at >= real && !wraps) {
      if (!write) memset(data + done, 0, 512);
      continue;
    }
    uint8_t *place = disk + at % real;
    if (write) memcpy(place, data + done, 512);
    else memcpy(data + done, place, 512);
  }
}

static void serve(struct fuse_in_header *in, uint8_t *body) {
  static uint8_t data[MOST];
  static unsigned writes;
  switch (in->opcode) {
    case FUSE_INIT: {
      struct fuse_init_in *want = (void *)body;
      struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION};
      out.max_readahead = want->max_readahead;
      out.flags = FUSE_BIG_WRITES;
      out.max_write = MOST;
      out.max_background = 16;
      out.congestion_threshold = 12;
      answer(in->unique, 0, &out, sizeof out);
      return;
    }
    case FUSE_LOOKUP: {
      struct fuse_entry_out out = {.nodeid = DISK, .attr_valid = 3600, .entry_valid = 3600, .attr = attributes(DISK)};
      int there = in->nodeid == FUSE_ROOT_ID && strcmp((char *)body, "disk") == 0;
      answer(in->unique, there ? 0 : -ENOENT, &out, there ? sizeof out : 0);
      return;
    }
    case FUSE_GETATTR:
    case FUSE_SETATTR: {
      struct fuse_attr_out out = {.attr_valid = 3600, .attr = attributes(in->nodeid)};
      answer(in->unique, 0, &out, sizeof out);
      return;
    }
    case FUSE_OPEN:
    case FUSE_OPENDIR: {
      struct fuse_open_out out = {.open_flags = in->opcode == FUSE_OPEN ? FOPEN_DIRECT_IO : 0};
      answer(in->unique, 0, &out, sizeof out);
      return;
    }
    case FUSE_READ: {
      struct fuse_read_in *want = (void *)body;
      size_t size = want->offset >= claimed ? 0 : want->size > claimed - want->offset ? claimed - want->offset : want->size;
      if (slow) usleep(20000);
      copy(want->offset, data, size, 0);
      answer(in->unique, 0, data, size);
      return;
    }
    case FUSE_WRITE: {
      struct fuse_write_in *want = (void *)body;
      struct fuse_write_out out = {.size = want->size};
      if (!losing || ++writes % 4 != 0) copy(want->offset, (uint8_t *)(want + 1), want->size, 1);
      answer(in->unique, 0, &out, sizeof out);
      return;
    }
    case FUSE_STATFS: {
      struct fuse_statfs_out out = {.st = {.bsize = 4096, .frsize = 4096, .namelen = 255}};
      answer(in->unique, 0, &out, sizeof out);
      return;
    }
    case FUSE_FLUSH:
    case FUSE_FSYNC:
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
    case FUSE_DESTROY: answer(in->unique, 0, NULL, 0); return;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT: return;
    default: answer(in->unique, -ENOSYS, NULL, 0);
  }
}

int main(int count, char **words) {
  static uint8_t request[sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in) + MOST + 4096];
  char options[128];
  if (count != 5) return 2;
  claimed = strtoull(words[2], NULL, 10);
  real = strtoull(words[3], NULL, 10);
  wraps = strcmp(words[4], "wrap") == 0;
  disk = calloc(1, real);
  signal(SIGUSR1, lose);
  signal(SIGUSR2, slow_down);
  device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", device);
  if (!disk || device < 0 || mount("lying-disk", words[1], "fuse", MS_NODEV, options) < 0) {
    perror("lying-disk");
    return 1;
  }
  for (;;) {
    ssize_t size = read(device, request, sizeof request);
    if (size < 0 && (errno == EINTR || errno == ENOENT || errno == EAGAIN)) continue;
    if (size < 0) return errno == ENODEV ? 0 : 1; /* unmounted */
    serve((void *)request, request + sizeof(struct fuse_in_header));
  }
}
