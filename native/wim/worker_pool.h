// A few threads that run tasks in the order they were given.
#ifndef STOWAGE_WIM_WORKER_POOL_H_
#define STOWAGE_WIM_WORKER_POOL_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "gzip.h"
#include "library.h"
#include "zstd.h"

namespace wim {

// What a thread keeps from task to task, because it is costly to make and may not be shared.
struct WorkerTools {
  Decompressors decompressors;
  Compressors compressors;
  Gzip gzip;
  Zstd zstd;
};

class WorkerPool {
 public:
  using Task = std::function<void(WorkerTools&)>;

  // At most so many threads: where the system gives fewer, fewer. Throws WIM_ERROR when it gives none.
  explicit WorkerPool(unsigned threads);
  // Tasks not yet begun are dropped.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  unsigned size() const { return static_cast<unsigned>(threads_.size()); }
  // A task must not throw: see Outcome.
  void Submit(Task task);

 private:
  void Run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> tasks_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

// How a task tells the thread that waits for it that it is done, or what it threw.
class Outcome {
 public:
  template <typename Work>
  void Settle(Work work) {
    std::exception_ptr error;
    try {
      work();
    } catch (...) {
      error = std::current_exception();
    }
    std::lock_guard<std::mutex> lock(mutex_);
    error_ = error;
    settled_ = true;
    changed_.notify_all();
  }
  bool settled() {
    std::lock_guard<std::mutex> lock(mutex_);
    return settled_;
  }
  // Returns when the work is done; throws what it threw.
  void Wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return settled_; });
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool settled_ = false;
  std::exception_ptr error_;
};

}  // namespace wim

#endif  // STOWAGE_WIM_WORKER_POOL_H_
