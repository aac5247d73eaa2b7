// Batches of bytes on their way from one thread, which makes them and may wait, to another, which takes them when it
// likes.
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
  // `most`: bytes from which on Put() waits. `ready` is called from the thread that puts, for each batch: it must be
  // quick.
  BatchQueue(size_t most, std::function<void()> ready);

  // Waits while too much is not taken; passes over an empty batch. Throws ABORTED once it is cancelled.
  void Put(std::vector<uint8_t> batch);

  // The next batch, if there is one by now. From any thread, as the next.
  bool Take(std::vector<uint8_t>* batch);
  // Makes Put() throw, now and from now on.
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
