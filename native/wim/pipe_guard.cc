#include "pipe_guard.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <exception>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "../base/error.h"
#include "../base/little_endian.h"
#include "decompressors.h"
#include "limits.h"
#include "metadata.h"
#include "pipe.h"

#ifdef _WIN32
#include <io.h>
#else
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>
#endif

namespace stowage::wim {

namespace {

int CopyOf(int fd) {
#ifdef _WIN32
  const int copy = _dup(fd);
#else
  const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
#endif
  if (copy < 0) throw SystemError(errno, "read from file descriptor " + std::to_string(fd));
  return copy;
}

}  // namespace

#ifdef _WIN32

void ReadGuarded(int fd, const Observer&, const std::function<void(int)>& read) { read(CopyOf(fd)); }

#else

namespace {

constexpr uint64_t kBlobMagic = 0x2b9b9ba2443db9d8;
constexpr size_t kBlobHeaderSize = 40;
constexpr size_t kPiece = 1u << 20;
constexpr int kPatienceMs = 100;

// Allowed whatever the ratio, which compares with the bytes received so far.
constexpr uint64_t kAlwaysAllowed = 16u << 20;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { Close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }
  void Close() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }

 private:
  int fd_;
};

constexpr char kWhere[] = "the WIM in the pipe";

[[noreturn]] void Corrupt(const std::string& what) { throw Error("WIM_CORRUPT", std::string(kWhere) + ": " + what); }

// Bytes of all paths together, as libwim builds them: two for each UTF-16 unit and two for each separator.
void CheckPaths(const Metadata& metadata, uint64_t size, const std::string& what) {
  uint64_t left = kMostPathBytes + kPathRatio * size;
  std::vector<uint64_t> paths;
  paths.reserve(metadata.dentries().size());
  for (const Dentry& dentry : metadata.dentries()) {
    const uint64_t parent = dentry.parent == Dentry::kNoParent ? 0 : paths[dentry.parent];
    paths.push_back(parent + dentry.name.size + 2);
    if (paths.back() > left) Corrupt(what + " has paths longer than any system allows");
    left -= paths.back();
  }
}

// Thrown to end a passage without an error: the input has ended, the reader is gone, or it was stopped.
struct Over {};

class Passage {
 public:
  Passage(int from, int to, const std::function<bool()>& stopped) : from_(from), to_(to), stopped_(stopped) {}

  void Run() {
    Take(Header::kSize);
    if (std::memcmp(held_.data(), kPipableMagic, 8) != 0) return Pass();  // libwim reports what is wrong with it
    compression_ = CompressionOf(Load32(held_.data() + 0x10), kWhere);
    chunk_size_ = Load32(held_.data() + 0x14);
    CheckChunkSize();
    const uint32_t images = Load32(held_.data() + 0x2c);
    Pass();
    Resource("the XML data", kLargestXml);
    Pass();
    for (uint32_t image = 1; image <= images; image++) {
      CheckMetadata("the metadata of image " + std::to_string(image));
      Pass();
    }
    held_.shrink_to_fit();
    PassRest();
  }

 private:
  // libwim checks what else the compression requires.
  void CheckChunkSize() const {
    if (compression_ == WIMLIB_COMPRESSION_TYPE_NONE) return;
    if (chunk_size_ == 0 || (chunk_size_ & (chunk_size_ - 1)) != 0)
      Corrupt("a chunk size of " + std::to_string(chunk_size_) + " is not allowed");
    if (chunk_size_ > kLargestChunk) {
      throw Error("UNSUPPORTED", "the WIM in the pipe: chunks of " + std::to_string(chunk_size_ >> 20) +
                                     " MiB need more memory than Stowage allows for one (256 MiB)");
    }
  }

  void CheckMetadata(const std::string& what) {
    std::vector<uint8_t> content = Resource(what, kLargestMetadata);
    const uint64_t size = content.size();
    CheckPaths(Metadata(std::move(content), hash_, "the WIM in the pipe: " + what), size, what);
  }

  // Holds the next resource, with its header, and returns its content.
  std::vector<uint8_t> Resource(const std::string& what, uint64_t most) {
    Take(kBlobHeaderSize);
    if (Load64(held_.data()) != kBlobMagic) Corrupt(what + " does not begin where it should");
    const uint64_t size = Load64(held_.data() + 8);
    std::memcpy(hash_.data(), held_.data() + 16, hash_.size());
    const uint32_t flags = Load32(held_.data() + 36);
    if (size > most) {
      Corrupt(what + " has " + std::to_string(size) + " bytes, more than Stowage accepts (" + std::to_string(most) +
              ")");
    }
    if (flags & ResourceHeader::kSolid) Corrupt(what + " is solid, which it cannot be in a pipable WIM");
    if (flags & ResourceHeader::kCompressed) return Chunks(what, size);
    const size_t at = Take(size);
    return {held_.begin() + static_cast<ptrdiff_t>(at), held_.end()};
  }

  // Each chunk has its size before it; their table comes last.
  std::vector<uint8_t> Chunks(const std::string& what, uint64_t size) {
    if (compression_ == WIMLIB_COMPRESSION_TYPE_NONE)
      Corrupt(what + " is compressed, but the header names no compression");
    std::vector<uint8_t> content;
    while (content.size() < size) {
      const uint64_t done = content.size();
      const uint64_t chunk = std::min<uint64_t>(chunk_size_, size - done);
      const size_t prefix = Take(4);
      const uint64_t packed = Load32(held_.data() + prefix);
      if (packed == 0 || packed > chunk) Corrupt(what + " has a chunk that is larger compressed than uncompressed");
      const size_t at = Take(packed);
      if (done + chunk > std::max(kAlwaysAllowed, kLargestRatio * held_.size())) {
        Corrupt(what + " grows to " + std::to_string(done + chunk) + " bytes from " + std::to_string(held_.size()) +
                ", more than Stowage accepts");
      }
      content.resize(done + chunk);
      if (packed == chunk) {
        std::memcpy(content.data() + done, held_.data() + at, chunk);
      } else {
        decompressors_.Decompress(compression_, chunk_size_, held_.data() + at, packed, content.data() + done, chunk,
                                  "the WIM in the pipe: " + what);
      }
    }
    if (size > 0) Take((size - 1) / chunk_size_ * (size > 0xffffffff ? 8 : 4));
    return content;
  }

  // Reads `size` more bytes into `held_` and returns where they begin. Memory grows as they arrive.
  size_t Take(uint64_t size) {
    const size_t begin = held_.size();
    while (size > 0) {
      const size_t at = held_.size();
      held_.resize(at + static_cast<size_t>(std::min<uint64_t>(size, kPiece)));
      for (size_t done = at; done < held_.size();) done += Read(held_.data() + done, held_.size() - done);
      size -= held_.size() - at;
    }
    return begin;
  }

  // Passes on all that is held.
  void Pass() {
    Write(held_.data(), held_.size());
    held_.clear();
  }

  void PassRest() {
#ifdef __linux__
    while (Splice()) {
    }
#endif
    std::vector<uint8_t> piece(kPiece);
    for (;;) Write(piece.data(), Read(piece.data(), piece.size()));
  }

#ifdef __linux__
  // Moves pages from one descriptor to the other. False: these two need each byte copied.
  bool Splice() {
    WaitForRoom();
    Wait(from_, POLLIN);
    Wait(to_, POLLOUT);
    const ssize_t moved = splice(from_, nullptr, to_, nullptr, kPiece, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (moved == 0) throw Over();
    return moved > 0 || errno == EINTR;  // an error of reading or writing occurs again when bytes are copied
  }

  // Avoids being woken for each chunk that libwim takes out of a full pipe.
  void WaitForRoom() {
    constexpr timespec kMoment = {0, 500'000};
    for (int waiting = 0; ioctl(to_, FIONREAD, &waiting) == 0 && waiting > static_cast<int>(kPiece / 4 * 3);) {
      pollfd reader = {to_, 0, 0};
      if (stopped_() || ppoll(&reader, 1, &kMoment, nullptr) > 0) throw Over();
    }
  }
#endif

  // Some bytes, at least one.
  size_t Read(uint8_t* to, size_t size) {
    for (;;) {
      Wait(from_, POLLIN);
      const ssize_t count = read(from_, to, size);
      if (count > 0) return static_cast<size_t>(count);
      if (count == 0) throw Over();
      if (errno == EINTR || errno == EAGAIN) continue;
      const int number = errno;
      throw Error("WIMLIB_ERR_READ", "read the WIM in the pipe: " + std::generic_category().message(number))
          .From(SystemErrorName(number));
    }
  }

  void Write(const uint8_t* from, size_t size) {
    while (size > 0) {
      Wait(to_, POLLOUT);
      const ssize_t count = write(to_, from, size);
      if (count < 0 && errno != EINTR && errno != EAGAIN) throw Over();  // EPIPE: libwim has what it wants
      if (count < 0) continue;
      from += count;
      size -= static_cast<size_t>(count);
    }
  }

  // Waits until `fd` can be read or written, or would fail at once.
  void Wait(int fd, short events) {
    for (;;) {
      if (stopped_()) throw Over();
      // A pipe without a reader reports an error even if no event is asked for.
      pollfd waits[2] = {{fd, events, 0}, {to_, 0, 0}};
      if (poll(waits, 2, kPatienceMs) <= 0) continue;
      if (waits[1].revents & (POLLERR | POLLNVAL)) throw Over();
      if (waits[0].revents != 0) return;
    }
  }

  const int from_;
  const int to_;
  const std::function<bool()>& stopped_;
  int compression_ = WIMLIB_COMPRESSION_TYPE_NONE;
  uint32_t chunk_size_ = 0;
  Decompressors decompressors_;
  // Read, and not passed on yet.
  std::vector<uint8_t> held_;
  // The hash that the last resource should have.
  Sha1Hash hash_{};
};

}  // namespace

void PassWim(int from, int to, const std::function<bool()>& stopped) {
  try {
    Passage(from, to, stopped).Run();
  } catch (const Over&) {  // NOLINT(bugprone-empty-catch): nothing more is wanted, which is not an error
  }
}

void ReadGuarded(int fd, const Observer& observer, const std::function<void(int)>& read) {
  // A copy: the caller may close `fd` before the thread has ended.
  Descriptor input(CopyOf(fd));
  const auto [reading, writing] = MakePipe();
  Descriptor output(reading);
  Descriptor passage(writing);
  (void)fcntl(writing, F_SETFL, O_WRONLY | O_NONBLOCK);
  std::atomic<bool> done{false};
  std::exception_ptr refusal;
  std::thread guard;
  try {
    guard = std::thread([&] {
      sigset_t broken;
      sigemptyset(&broken);
      sigaddset(&broken, SIGPIPE);
      pthread_sigmask(SIG_BLOCK, &broken, nullptr);
      try {
        PassWim(input.get(), passage.get(), [&] { return done || observer.cancelled(); });
      } catch (...) {
        refusal = std::current_exception();
      }
      passage.Close();
    });
  } catch (const std::system_error& error) {
    throw Error("WIM_ERROR", std::string("cannot start a thread: ") + error.what());
  }
  const auto join = [&] {
    done = true;
    guard.join();
  };
  try {
    read(output.Release());
  } catch (...) {
    join();
    // libwim failed because the rest was held back: the reason for that says more.
    if (observer.cancelled()) throw Error("ABORTED", "interrupted before the end");
    if (refusal) std::rethrow_exception(refusal);
    throw;
  }
  join();  // libwim has what it wants, so the rest does not matter
}

#endif

}  // namespace stowage::wim
