#include "mend.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <thread>
#include <vector>

#include "../base/error.h"
#include "../base/file.h"
#include "header.h"
#include "library.h"
#include "mending.h"
#include "metadata.h"
#include "text.h"

#ifdef _WIN32
#include <io.h>
#else
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace stowage::wim {

namespace {

namespace fs = std::filesystem;

constexpr uint32_t kFirstRight = 1u << 20 | 14u << 10 | 2;  // 1.14.2

constexpr size_t kPiece = 1u << 20;

// The process that serves a mount has the lock until it ends, a little after it has written the WIM.
constexpr auto kLockWait = std::chrono::seconds(10);
constexpr auto kLockPoll = std::chrono::milliseconds(10);

void CheckNotCancelled(const Observer& observer) {
  if (observer.cancelled()) throw Error("ABORTED", "interrupted before the end");
}

[[noreturn]] void Fail(const std::error_code& error, const std::string& doing) {
  throw SystemError(error.value(), doing);
}

// Gives a new file the permissions and the owner of the one that it replaces, as libwim does.
void TakeOver(const std::string& from, const std::string& to) {
#ifdef _WIN32
  (void)from;
  (void)to;
#else
  struct stat status;
  if (stat(from.c_str(), &status) != 0) return;
  (void)!chown(to.c_str(), status.st_uid, status.st_gid);
  (void)chmod(to.c_str(), status.st_mode & 07777);
#endif
}

void ReplacePipable(Mending& mending, const std::string& path, const MendOptions& options, const Observer& observer) {
  const std::string target = fs::canonical(fs::u8path(path)).u8string();
  const std::string made = target + ".mended.partial";
  try {
    if (!std::ofstream(fs::u8path(made), std::ios::binary)) throw SystemError(errno, "create " + made);
    {
      const File file(made, File::Mode::kWrite);
      uint64_t end = 0;
      mending.Prepare();
      mending.WritePipable([&](const uint8_t* bytes, size_t size) {
        CheckNotCancelled(observer);
        file.Write(bytes, size, end);
        end += size;
      });
      if (options.sync) file.Sync();
    }
    TakeOver(target, made);
    std::error_code error;
    fs::rename(fs::u8path(made), fs::u8path(target), error);
    if (error) Fail(error, "rename " + made);
  } catch (...) {
    std::error_code none;
    fs::remove(fs::u8path(made), none);
    throw;
  }
}

#ifndef _WIN32
// libwim's lock on a file that it appends to.
class AppendLock {
 public:
  explicit AppendLock(const std::string& path) : fd_(open(path.c_str(), O_RDWR | O_CLOEXEC)) {
    if (fd_ < 0) throw SystemError(errno, "open " + path);
    const auto until = std::chrono::steady_clock::now() + kLockWait;
    while (flock(fd_, LOCK_EX | LOCK_NB) != 0) {
      // Some file systems have no locks; libwim goes on without one, too
      if (errno != EWOULDBLOCK && errno != EINTR) return;
      if (std::chrono::steady_clock::now() > until) {
        close(fd_);
        throw Error("WIMLIB_ERR_ALREADY_LOCKED", path + ": another program is changing it");
      }
      std::this_thread::sleep_for(kLockPoll);
    }
  }
  ~AppendLock() { close(fd_); }
  AppendLock(const AppendLock&) = delete;
  AppendLock& operator=(const AppendLock&) = delete;

 private:
  int fd_;
};
#endif

// Reads metadata only, until there is something to mend.
bool NeedsMending(const std::string& path) {
  const File file(path, File::Mode::kRead);
  return Mending(file, {}).needed();
}

void WriteAll(int fd, const uint8_t* bytes, size_t size) {
  while (size > 0) {
#ifdef _WIN32
    const auto written = _write(fd, bytes, static_cast<unsigned>(std::min(size, kPiece)));
#else
    const ssize_t written = write(fd, bytes, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) {
      pollfd waiting = {fd, POLLOUT, 0};
      (void)poll(&waiting, 1, -1);
      continue;
    }
#endif
    if (written < 0) throw SystemError(errno, "write the WIM");
    bytes += written;
    size -= static_cast<size_t>(written);
  }
}

// Where a WIM ends, by its header.
uint64_t EndOf(const File& file) {
  const Header header = Header::From(file);
  uint64_t end = Header::kSize;
  for (const ResourceHeader& resource : {header.blob_table, header.xml, header.integrity})
    end = std::max(end, resource.offset + resource.size_in_wim);
  return std::min(end, file.size());
}

// One number for the file itself, which another one that takes its name does not have; 0 where there is none.
uint64_t IdentityOf(const std::string& path) {
#ifdef _WIN32
  (void)path;
  return 0;
#else
  struct stat status;
  return stat(path.c_str(), &status) == 0 ? static_cast<uint64_t>(status.st_ino) : 0;
#endif
}

}  // namespace

bool LibraryWritesOldForm() { return Libwim().get_version() < kFirstRight; }

WimBefore LookBefore(const std::string& path) {
  if (!LibraryWritesOldForm()) return {};
  return {IdentityOf(path), EndOf(File(path, File::Mode::kRead))};
}

void MendNew(const std::string& path, const MendOptions& options, const Observer& observer) {
  if (!LibraryWritesOldForm() || !fs::is_regular_file(fs::u8path(path))) return;
  const File file(path, File::Mode::kWrite);
  Mending mending(file, options);
  if (!mending.needed()) return;
  CheckNotCancelled(observer);
  if (mending.header().pipable) {
    ReplacePipable(mending, path, options, observer);
    return;
  }
  mending.Prepare();
  const uint64_t begin = mending.TailBegin(Header::kSize);
  const Mending::Tail tail = mending.MakeTail(begin, begin);
  file.Write(tail.bytes.data(), tail.bytes.size(), begin);
  file.Truncate(begin + tail.bytes.size());
  file.Write(tail.header.data(), tail.header.size(), 0);
  if (options.sync) file.Sync();
}

void MendInPlace(const std::string& path, const WimBefore& before, const MendOptions& options,
                 const Observer& observer) {
  if (!LibraryWritesOldForm() || !NeedsMending(path)) return;
#ifndef _WIN32
  const AppendLock lock(path);
#endif
  const File file(path, File::Mode::kWrite);
  Mending mending(file, options);
  if (!mending.needed()) return;
  if (mending.header().pipable) {
    ReplacePipable(mending, path, options, observer);
    return;
  }
  mending.Prepare();
  const bool another = IdentityOf(path) != before.identity;
  const uint64_t least = another || before.compacted ? Header::kSize : before.end;
  const uint64_t end = file.size();
  const auto write = [&](const Mending::Tail& tail, uint64_t begin) {
    file.Write(tail.bytes.data(), tail.bytes.size(), begin);
    file.Sync();
    file.Write(tail.header.data(), tail.header.size(), 0);
    file.Sync();
  };
  // What libwim has written stays until there is another whole WIM in the file
  const uint64_t begin = mending.TailBegin(least);
  const Mending::Tail final = mending.MakeTail(begin, begin);
  if (begin == end || final.bytes.size() > end - begin) {
    write(mending.MakeTail(end, end), end);
    return;
  }
  // Without an integrity table: it would cover the bytes that are then written over
  write(mending.MakeTail(end, begin, false), end);
  write(final, begin);
  file.Truncate(begin + final.bytes.size());
}

bool MayNeedMending(WIMStruct* wim, int image) {
  if (!LibraryWritesOldForm()) return false;
  const auto found = [](const wimlib_dir_entry* entry, void*) {
    const bool directory = entry->attributes & kAttributeDirectory;
    return directory && (entry->num_named_streams > 0 || (entry->attributes & kAttributeReparsePoint)) ? 1 : 0;
  };
  // An image that cannot be listed may need it
  return Libwim().iterate_dir_tree(wim, image, ToLibrary("/").c_str(), WIMLIB_ITERATE_DIR_TREE_FLAG_RECURSIVE, found,
                                   nullptr) != 0;
}

bool CanSeek(int fd) {
#ifdef _WIN32
  return _lseeki64(fd, 0, SEEK_CUR) >= 0;
#else
  return lseek(fd, 0, SEEK_CUR) >= 0;
#endif
}

void SendMended(const std::string& path, int fd, const MendOptions& options, const Observer& observer) {
  const auto send = [&](const uint8_t* bytes, size_t size) {
    CheckNotCancelled(observer);
    WriteAll(fd, bytes, size);
  };
  {
    const File file(path, File::Mode::kRead);
    Mending mending(file, options);
    if (mending.header().pipable && mending.needed()) {
      mending.Prepare();
      mending.WritePipable(send);
      return;
    }
  }
  MendNew(path, options, observer);
  const File file(path, File::Mode::kRead);
  std::vector<uint8_t> piece;
  for (uint64_t done = 0; done < file.size(); done += piece.size()) {
    piece.resize(static_cast<size_t>(std::min<uint64_t>(kPiece, file.size() - done)));
    file.Read(piece.data(), piece.size(), done);
    send(piece.data(), piece.size());
  }
}

}  // namespace stowage::wim
