#include "uncached_file.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <new>
#include <vector>

#include "../base/error.h"

#ifdef _WIN32
#include <malloc.h>
#include <windows.h>

#include "../base/windows_path.h"
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace stowage::medium {

#ifdef _WIN32

// Source: Microsoft, "File Buffering". FILE_FLAG_NO_BUFFERING reads from the medium; the cache is flushed before.

void FreeAligned::operator()(uint8_t* memory) const { _aligned_free(memory); }

AlignedMemory Allocate(size_t size) {
  void* const memory = _aligned_malloc(size, kAlignment);
  if (memory == nullptr) throw std::bad_alloc();
  return AlignedMemory(static_cast<uint8_t*>(memory));
}

namespace {

Error LastError(const std::string& doing) { return SystemError(ErrnoOfLastError(), doing); }

HANDLE OpenHandle(const std::string& path, DWORD access, DWORD flags) {
  return CreateFileW(SystemPath(path).c_str(), access, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr,
                     OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL | flags, nullptr);
}

}  // namespace

UncachedFile::UncachedFile(const std::string& path) : path_(path) {
  const HANDLE writable = OpenHandle(path, GENERIC_READ | GENERIC_WRITE, 0);
  if (writable != INVALID_HANDLE_VALUE) {
    const bool flushed = FlushFileBuffers(writable) != 0;
    const Error failure = LastError("flush " + path);
    CloseHandle(writable);
    if (!flushed) throw failure;
  }
  HANDLE handle = OpenHandle(path, GENERIC_READ, FILE_FLAG_NO_BUFFERING);
  direct_ = handle != INVALID_HANDLE_VALUE;
  if (!direct_ && GetLastError() == ERROR_INVALID_PARAMETER) {
    handle = OpenHandle(path, GENERIC_READ, 0);
    kept_ = true;
  }
  if (handle == INVALID_HANDLE_VALUE) throw LastError("open " + path);
  handle_ = reinterpret_cast<intptr_t>(handle);
}

UncachedFile::~UncachedFile() { CloseHandle(reinterpret_cast<HANDLE>(handle_)); }

size_t UncachedFile::Read(uint8_t* to, size_t size, uint64_t offset) {
  OVERLAPPED position = {};
  position.Offset = static_cast<DWORD>(offset);
  position.OffsetHigh = static_cast<DWORD>(offset >> 32);
  DWORD read = 0;
  if (!ReadFile(reinterpret_cast<HANDLE>(handle_), to, static_cast<DWORD>(size), &read, &position)) {
    if (GetLastError() != ERROR_HANDLE_EOF) throw LastError("read " + path_);
  }
  return read;
}

bool DropPages(const std::string& path) { return !UncachedFile(path).cached(); }

#else

void FreeAligned::operator()(uint8_t* memory) const { std::free(memory); }

AlignedMemory Allocate(size_t size) {
  void* memory = nullptr;
  if (posix_memalign(&memory, kAlignment, size) != 0) throw std::bad_alloc();
  return AlignedMemory(static_cast<uint8_t*>(memory));
}

namespace {

// How much of a file is asked about at a time.
constexpr size_t kWindow = size_t{256} << 20;

// Calls `look` with each part of the file, mapped but not read, until that returns true. Returns whether it did, or if
// a part could not be mapped.
template <typename Look>
bool AnyPart(int handle, uint64_t size, Look look) {
  for (uint64_t at = 0; at < size; at += kWindow) {
    const auto length = static_cast<size_t>(std::min<uint64_t>(kWindow, size - at));
    void* const part = mmap(nullptr, length, PROT_READ, MAP_SHARED, handle, static_cast<off_t>(at));
    if (part == MAP_FAILED) return true;
    const bool found = look(part, length);
    munmap(part, length);
    if (found) return true;
  }
  return false;
}

#ifdef __APPLE__

// Source: Darwin, fcntl(2), msync(2).
bool Flush(int handle) { return fcntl(handle, F_FULLFSYNC) == 0 || fsync(handle) == 0; }

// Returns whether something stayed.
bool Drop(int handle, uint64_t size) {
  return AnyPart(handle, size,
                 [](void* part, size_t length) { return msync(part, length, MS_SYNC | MS_INVALIDATE) != 0; });
}

bool PassBy(int handle) { return fcntl(handle, F_NOCACHE, 1) == 0; }

void PassByNoMore(int handle) { fcntl(handle, F_NOCACHE, 0); }

#else

bool Flush(int handle) { return fsync(handle) == 0; }

bool Drop(int handle, uint64_t size) {
#ifdef POSIX_FADV_DONTNEED
  posix_fadvise(handle, 0, 0, POSIX_FADV_DONTNEED);
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> pages;
  return AnyPart(handle, size, [&](void* part, size_t length) {
    pages.assign((length + page - 1) / page, 1);
    mincore(part, length, pages.data());
    return std::any_of(pages.begin(), pages.end(), [](unsigned char there) { return (there & 1) != 0; });
  });
#else
  return size > 0;
#endif
}

bool PassBy(int handle) {
#ifdef O_DIRECT
  return fcntl(handle, F_SETFL, fcntl(handle, F_GETFL) | O_DIRECT) == 0;
#else
  return handle < 0;
#endif
}

void PassByNoMore(int handle) {
#ifdef O_DIRECT
  fcntl(handle, F_SETFL, fcntl(handle, F_GETFL) & ~O_DIRECT);
#endif
}

#endif

struct Opened {
  int handle;
  struct stat status;
};

// Opens and flushes it.
Opened Open(const std::string& path) {
  // O_NONBLOCK, so that opening a FIFO cannot block the thread for ever. It has no effect on regular files.
  const int handle = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (handle < 0) throw SystemError(errno, "open " + path);
  Opened opened{handle, {}};
  int number = fstat(handle, &opened.status) == 0 ? 0 : errno;
  if (number == 0 && S_ISDIR(opened.status.st_mode)) number = EISDIR;
  // A medium that cannot be written has nothing to flush
  if (number == 0 && !Flush(handle) && errno != EINVAL && errno != EROFS && errno != ENOTSUP) number = errno;
  if (number == 0) return opened;
  close(handle);
  throw SystemError(number, "flush " + path);
}

}  // namespace

UncachedFile::UncachedFile(const std::string& path) : path_(path) {
  const Opened opened = Open(path);
  handle_ = opened.handle;
  // Also before a direct read: some file systems accept the flag, and read from the cache nevertheless
  kept_ = Drop(opened.handle, static_cast<uint64_t>(opened.status.st_size));
  direct_ = PassBy(opened.handle);
}

UncachedFile::~UncachedFile() { close(static_cast<int>(handle_)); }

size_t UncachedFile::Read(uint8_t* to, size_t size, uint64_t offset) {
  const auto handle = static_cast<int>(handle_);
  for (size_t done = 0; done < size;) {
    const ssize_t read = pread(handle, to + done, size - done, static_cast<off_t>(offset + done));
    if (read < 0 && errno == EINTR) continue;
    if (read < 0 && errno == EINVAL && direct_) {
      PassByNoMore(handle);  // some file systems accept the flag but not the read
      direct_ = false;
      continue;
    }
    if (read < 0) throw SystemError(errno, "read " + path_);
    done += static_cast<size_t>(read);
    // A direct read ends within a block only at the end of the file
    if (read == 0 || done % kAlignment != 0) return done;
  }
  return size;
}

bool DropPages(const std::string& path) {
  const Opened opened = Open(path);
  // The pages of a whole disk are too many to ask about
  const bool disk = S_ISBLK(opened.status.st_mode);
  const bool kept = Drop(opened.handle, disk ? 0 : static_cast<uint64_t>(opened.status.st_size));
  close(opened.handle);
  return !kept;
}

#endif

}  // namespace stowage::medium
