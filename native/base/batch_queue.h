// A queue of batches of bytes from one thread, which may wait, to another, which never does.
#ifndef STOWAGE_BASE_BATCH_QUEUE_H_
#define STOWAGE_BASE_BATCH_QUEUE_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <vector>

namespace stowage {

class BatchQueue {
 public:
  // Put() waits once `most` bytes are queued. `ready` is called on the thread that puts, after each batch: it must be
  // quick.
  BatchQueue(size_t most, std::function<void()> ready);

  // Waits while the queue is full; ignores an empty batch. Throws ABORTED once cancelled.
  void Put(std::vector<uint8_t> batch);

  // The next batch; false if there is none yet. Take() and Cancel() may be called from any thread.
  bool Take(std::vector<uint8_t>* batch);
  // Makes Put() throw from now on.
  void Cancel();

 private:
  const size_t most_;
  const std::function<void()> ready_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::vector<uint8_t>> batches_;
  size_t queued_ = 0;
  bool cancelled_ = false;
};

}  // namespace stowage

#endif  // STOWAGE_BASE_BATCH_QUEUE_H_
