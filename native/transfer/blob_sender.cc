#include "blob_sender.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "../base/error.h"
#include "http_answer.h"

namespace stowage::transfer {

namespace {

// How much is sent between two checks for an answer.
constexpr size_t kPiece = 4u << 20;
// The longest that a blob waits for its turn, in milliseconds. On a slow connection all may as well be sent together,
// and a registry must not take us for gone before a blob begins.
constexpr int kPatience = 3000;

// A turn to send a large blob. Blobs that are sent together end together, and until then the disk of a registry on the
// same machine is idle. So only a few are sent at a time, and the next ones while the registry stores those.
class Turn {
 public:
  Turn() = default;
  ~Turn() { End(); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  // Whether the turn came within `milliseconds`.
  bool Take(int milliseconds) {
    std::unique_lock<std::mutex> lock(line_.mutex);
    mine_ = line_.ended.wait_for(lock, std::chrono::milliseconds(milliseconds), [this] { return line_.free > 0; });
    if (mine_) line_.free--;
    return mine_;
  }

  void End() {
    if (!mine_) return;
    mine_ = false;
    std::lock_guard<std::mutex> lock(line_.mutex);
    line_.free++;
    line_.ended.notify_one();
  }

 private:
  struct Line {
    std::mutex mutex;
    std::condition_variable ended;
    unsigned free = std::max(4u, std::thread::hardware_concurrency() + 2);
  };

  // Shared by all senders. Never destroyed: an exiting process would wait for the threads that wait here.
  static Line& OfAll() {
    static Line& line = *new Line;
    return line;
  }

  Line& line_ = OfAll();
  bool mine_ = false;
};

class Input {
 public:
  explicit Input(const std::string& path)
      : path_(path), handle_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) {
    if (handle_ < 0) Fail("open ");
  }
  ~Input() { close(handle_); }
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  // Less than `size` only at the end of the file.
  size_t Send(Socket& socket, uint64_t offset, size_t size) const {
#ifdef __linux__
    return socket.SendFile(handle_, offset, size);
#else
    std::vector<uint8_t> piece(size);
    for (;;) {
      const ssize_t read = pread(handle_, piece.data(), size, static_cast<off_t>(offset));
      if (read < 0 && errno == EINTR) continue;
      if (read < 0) Fail("read ");
      socket.Send(piece.data(), static_cast<size_t>(read));
      return static_cast<size_t>(read);
    }
#endif
  }

 private:
  [[noreturn]] void Fail(const char* doing) const { throw SystemError(errno, doing + path_).WhileWriting(path_); }

  const std::string& path_;
  const int handle_;
};

}  // namespace

BlobSender::BlobSender(Sending sending) : sending_(std::move(sending)) {}

void BlobSender::Cancel() { socket_.Stop(); }

Sent BlobSender::Run() {
  Input input(sending_.path);
  socket_.Connect(sending_.place);
  socket_.Send(sending_.head.data(), sending_.head.size());
  Sent sent;
  Turn turn;
  try {
    // A server that refuses the blob answers before it has all of it
    bool answered = HasAnswer();
    int patience = sending_.size > kPiece ? kPatience : 0;
    for (; patience > 0 && !answered && !turn.Take(kGlance); patience -= kGlance) answered = HasAnswer();
    for (; sent.size < sending_.size && !answered; answered = HasAnswer()) {
      const size_t wanted = static_cast<size_t>(std::min<uint64_t>(kPiece, sending_.size - sent.size));
      const size_t size = input.Send(socket_, sending_.offset + sent.size, wanted);
      if (size == 0) return sent;
      sent.size += size;
      sending_.sent(size);
    }
  } catch (const Error& error) {
    if (error.code() != "EPIPE" && error.code() != "ECONNRESET") throw;
    try {
      sent.answer = Answer();
      return sent;
    } catch (const Error&) {
      throw error;
    }
  }
  turn.End();
  sent.answer = Answer();
  return sent;
}

bool BlobSender::HasAnswer() { return socket_.HasNews() && !ReceiveInterim(socket_, &begun_); }

std::string BlobSender::Answer() {
  std::string head = ReceiveHead(socket_, &begun_);
  return head + ReceiveText(socket_, head, std::move(begun_));
}

}  // namespace stowage::transfer
