#include "file.h"

#include <cerrno>

#include "error.h"

#ifdef _WIN32
#include <windows.h>

#include <algorithm>

#include "windows_path.h"
#else
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace stowage {

namespace {

[[noreturn]] void Truncated(const File& file, size_t size, uint64_t offset) {
  throw Error("WIM_CORRUPT", file.path() + ": expected " + std::to_string(size) + " bytes at offset " +
                                 std::to_string(offset) + " but the file ends before that; it had " +
                                 std::to_string(file.size()) + " bytes when it was opened");
}

}  // namespace

#ifdef _WIN32

namespace {

OVERLAPPED At(uint64_t offset) {
  OVERLAPPED position = {};
  position.Offset = static_cast<DWORD>(offset);
  position.OffsetHigh = static_cast<DWORD>(offset >> 32);
  return position;
}

constexpr size_t kLargest = 1u << 30;

// Why a file was not opened: Windows says of a directory only that it has no right to it.
int NumberOfOpen(const std::wstring& name) {
  const int number = ErrnoOfLastError();
  const DWORD attributes = GetFileAttributesW(name.c_str());
  const bool directory = attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY);
  return directory ? EISDIR : number;
}

}  // namespace

File::File(const std::string& path, Mode mode) : path_(path) {
  const DWORD access = mode == Mode::kRead ? GENERIC_READ : GENERIC_READ | GENERIC_WRITE;
  const std::wstring name = SystemPath(path);
  const HANDLE handle = CreateFileW(name.c_str(), access, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                                    nullptr, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr);
  if (handle == INVALID_HANDLE_VALUE) throw SystemError(NumberOfOpen(name), "open " + path);
  handle_ = reinterpret_cast<intptr_t>(handle);
  LARGE_INTEGER size;
  if (GetFileSizeEx(handle, &size)) size_ = static_cast<uint64_t>(size.QuadPart);
}

File::~File() { CloseHandle(reinterpret_cast<HANDLE>(handle_)); }

void File::Read(void* to, size_t size, uint64_t offset) const {
  for (size_t done = 0; done < size;) {
    OVERLAPPED position = At(offset + done);
    DWORD read = 0;
    if (!ReadFile(reinterpret_cast<HANDLE>(handle_), static_cast<char*>(to) + done,
                  static_cast<DWORD>(std::min(size - done, kLargest)), &read, &position)) {
      if (GetLastError() != ERROR_HANDLE_EOF) throw SystemError(ErrnoOfLastError(), "read " + path_);
    }
    if (read == 0) Truncated(*this, size, offset);
    done += read;
  }
}

void File::Write(const void* from, size_t size, uint64_t offset) const {
  for (size_t done = 0; done < size;) {
    OVERLAPPED position = At(offset + done);
    DWORD written = 0;
    if (!WriteFile(reinterpret_cast<HANDLE>(handle_), static_cast<const char*>(from) + done,
                   static_cast<DWORD>(std::min(size - done, kLargest)), &written, &position)) {
      throw SystemError(ErrnoOfLastError(), "write " + path_).WhileWriting(path_);
    }
    done += written;
  }
}

void File::Truncate(uint64_t size) const {
  FILE_END_OF_FILE_INFO end;
  end.EndOfFile.QuadPart = static_cast<LONGLONG>(size);
  if (!SetFileInformationByHandle(reinterpret_cast<HANDLE>(handle_), FileEndOfFileInfo, &end, sizeof end))
    throw SystemError(ErrnoOfLastError(), "truncate " + path_).WhileWriting(path_);
}

void File::Sync() const {
  if (!FlushFileBuffers(reinterpret_cast<HANDLE>(handle_)))
    throw SystemError(ErrnoOfLastError(), "sync " + path_).WhileWriting(path_);
}

void File::AdviseSequential() const {}

#else

File::File(const std::string& path, Mode mode) : path_(path) {
  // O_NONBLOCK, so that opening a FIFO cannot block the thread for ever. It has no effect on regular files.
  const int flags = (mode == Mode::kRead ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK;
  const int fd = open(path.c_str(), flags);
  if (fd < 0) throw SystemError(errno, "open " + path);
  handle_ = fd;
  struct stat status;
  if (fstat(fd, &status) != 0 || S_ISDIR(status.st_mode)) {
    const int number = S_ISDIR(status.st_mode) ? EISDIR : errno;
    close(fd);
    throw SystemError(number, "open " + path);
  }
  size_ = static_cast<uint64_t>(status.st_size);
}

File::~File() { close(static_cast<int>(handle_)); }

void File::Read(void* to, size_t size, uint64_t offset) const {
  for (size_t done = 0; done < size;) {
    const ssize_t read =
        pread(static_cast<int>(handle_), static_cast<char*>(to) + done, size - done, static_cast<off_t>(offset + done));
    if (read < 0 && errno == EINTR) continue;
    if (read < 0) throw SystemError(errno, "read " + path_);
    if (read == 0) Truncated(*this, size, offset);
    done += static_cast<size_t>(read);
  }
}

void File::Write(const void* from, size_t size, uint64_t offset) const {
  for (size_t done = 0; done < size;) {
    const ssize_t written = pwrite(static_cast<int>(handle_), static_cast<const char*>(from) + done, size - done,
                                   static_cast<off_t>(offset + done));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw SystemError(errno, "write " + path_).WhileWriting(path_);
    done += static_cast<size_t>(written);
  }
}

void File::Truncate(uint64_t size) const {
  while (ftruncate(static_cast<int>(handle_), static_cast<off_t>(size)) != 0) {
    if (errno != EINTR) throw SystemError(errno, "truncate " + path_).WhileWriting(path_);
  }
}

void File::Sync() const {
  if (fsync(static_cast<int>(handle_)) != 0 && errno != EINVAL)
    throw SystemError(errno, "sync " + path_).WhileWriting(path_);
}

void File::AdviseSequential() const {
#ifdef POSIX_FADV_SEQUENTIAL
  posix_fadvise(static_cast<int>(handle_), 0, 0, POSIX_FADV_SEQUENTIAL);
#endif
}

#endif

}  // namespace stowage
