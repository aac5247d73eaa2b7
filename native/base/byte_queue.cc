#include "byte_queue.h"

#include <utility>

#include "error.h"

namespace stowage {

namespace {

// If fewer bytes are queued, more are asked for.
constexpr size_t kLowWater = 1u << 20;

}  // namespace

ByteQueue::ByteQueue(std::function<void()> room) : room_(std::move(room)) {}

size_t ByteQueue::Push(std::vector<uint8_t> bytes) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (bytes.empty()) return queued_;
  queued_ += bytes.size();
  queue_.push_back(std::move(bytes));
  changed_.notify_all();
  return queued_;
}

void ByteQueue::Finish() {
  std::lock_guard<std::mutex> lock(mutex_);
  finished_ = true;
  changed_.notify_all();
}

void ByteQueue::Cancel() {
  std::lock_guard<std::mutex> lock(mutex_);
  cancelled_ = true;
  changed_.notify_all();
}

bool ByteQueue::Take(std::vector<uint8_t>* bytes) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (queued_ < kLowWater && !finished_ && !cancelled_) {
    lock.unlock();
    room_();
    lock.lock();
  }
  changed_.wait(lock, [this] { return cancelled_ || finished_ || !queue_.empty(); });
  if (cancelled_) throw Error("ABORTED", "interrupted before the end");
  if (queue_.empty()) return false;
  *bytes = std::move(queue_.front());
  queue_.pop_front();
  queued_ -= bytes->size();
  return true;
}

}  // namespace stowage
