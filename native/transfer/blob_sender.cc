#include "blob_sender.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "../wim/error.h"
#include "http_answer.h"
#include "sha256_lane.h"

namespace transfer {

namespace {

// What is read, hashed and sent at a time.
constexpr size_t kSlot = 1u << 20;

class Input {
 public:
  explicit Input(const std::string& path) : path_(path), handle_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) {
    if (handle_ < 0) Fail("open ");
  }
  ~Input() { close(handle_); }
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  // Less than `size` at the end of the file alone.
  size_t Read(uint8_t* to, size_t size, uint64_t offset) const {
    for (size_t done = 0;;) {
      const ssize_t read = pread(handle_, to + done, size - done, static_cast<off_t>(offset + done));
      if (read < 0 && errno == EINTR) continue;
      if (read < 0) Fail("read ");
      done += static_cast<size_t>(read);
      if (read == 0 || done == size) return done;
    }
  }

 private:
  [[noreturn]] void Fail(const char* doing) const { throw wim::SystemError(errno, doing + path_).WhileWriting(path_); }

  const std::string& path_;
  const int handle_;
};

}  // namespace

BlobSender::BlobSender(Sending sending) : sending_(std::move(sending)) {}

void BlobSender::Cancel() { socket_.Stop(); }

Sent BlobSender::Run() {
  const Input input(sending_.path);
  socket_.Connect(sending_.place);
  socket_.Send(sending_.head.data(), sending_.head.size());
  std::vector<uint8_t> slot(kSlot);
  Sha256Lane hash;
  Sent sent;
  for (bool last = false; !last;) {
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(kSlot, sending_.size - sent.read));
    const size_t size = input.Read(slot.data(), wanted, sending_.offset + sent.read);
    sent.read += size;
    last = size < wanted || sent.read == sending_.size;
    hash.Offer(slot.data(), size);
    if (last) {
      hash.Await();
      sent.sha256 = wim::Hex(hash.Finish());
      if (sent.read < sending_.size || sent.sha256 != sending_.sha256) return sent;
    }
    // One that will not have it says so before it has all
    if (socket_.HasNews()) break;
    try {
      socket_.Send(slot.data(), size);
    } catch (const wim::Error& error) {
      hash.Await();
      if (error.code() != "EPIPE" && error.code() != "ECONNRESET") throw;
      try {
        sent.answer = Answer();
        return sent;
      } catch (const wim::Error&) {
        throw error;
      }
    }
    hash.Await();
  }
  sent.answer = Answer();
  return sent;
}

std::string BlobSender::Answer() {
  std::string rest;
  std::string head = ReceiveHead(socket_, &rest);
  return head + ReceiveText(socket_, head, std::move(rest));
}

}  // namespace transfer
