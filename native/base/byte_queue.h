// A queue of bytes from one thread, which has them in pieces and must not wait, to another, which waits for them.
#ifndef STOWAGE_BASE_BYTE_QUEUE_H_
#define STOWAGE_BASE_BYTE_QUEUE_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <vector>

namespace stowage {

// A source of bytes, read piece by piece.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // The size of the next piece; `*data` is valid until the next call. 0 at the end, and after it.
  virtual size_t Read(const uint8_t** data) = 0;
};

class ByteQueue {
 public:
  // `room` is called on the thread that takes, when the queue is running low: push more. It must be quick.
  explicit ByteQueue(std::function<void()> room);

  // Returns the number of bytes queued. Push(), Finish() and Cancel() may be called from any thread.
  size_t Push(std::vector<uint8_t> bytes);
  // Marks the end: no more bytes are pushed.
  void Finish();
  // Makes Take() throw ABORTED from now on.
  void Cancel();

  // Waits for the next piece, which is never empty. False at the end.
  bool Take(std::vector<uint8_t>* bytes);

 private:
  const std::function<void()> room_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::vector<uint8_t>> queue_;
  size_t queued_ = 0;
  bool finished_ = false;
  bool cancelled_ = false;
};

}  // namespace stowage

#endif  // STOWAGE_BASE_BYTE_QUEUE_H_
