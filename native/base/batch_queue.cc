#include "batch_queue.h"

#include <utility>

#include "error.h"

namespace stowage {

BatchQueue::BatchQueue(size_t most, std::function<void()> ready) : most_(most), ready_(std::move(ready)) {}

void BatchQueue::Put(std::vector<uint8_t> batch) {
  {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return cancelled_ || batch.empty() || queued_ < most_; });
    if (cancelled_) throw Error("ABORTED", "interrupted before the end");
    if (batch.empty()) return;
    queued_ += batch.size();
    batches_.push_back(std::move(batch));
  }
  ready_();
}

bool BatchQueue::Take(std::vector<uint8_t>* batch) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (batches_.empty()) return false;
  *batch = std::move(batches_.front());
  batches_.pop_front();
  queued_ -= batch->size();
  changed_.notify_all();
  return true;
}

void BatchQueue::Cancel() {
  std::lock_guard<std::mutex> lock(mutex_);
  cancelled_ = true;
  changed_.notify_all();
}

}  // namespace stowage
