// A few threads that run tasks in the order they were given.
#ifndef STOWAGE_BASE_WORKER_POOL_H_
#define STOWAGE_BASE_WORKER_POOL_H_

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace stowage {

class WorkerPool {
 public:
  // Given the number of the worker that runs it, from 0 to below size().
  using Task = std::function<void(unsigned worker)>;

  // Starts up to `threads` threads, fewer if the system allows no more. Throws WIM_ERROR if it allows none.
  explicit WorkerPool(unsigned threads);
  // Tasks not yet begun are dropped.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  unsigned size() const { return static_cast<unsigned>(threads_.size()); }
  // A task must not throw: see Outcome.
  void Submit(Task task);

 private:
  void Run(unsigned worker);

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> tasks_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

// What each worker of a pool keeps from task to task, because it is expensive to make and must not be shared. Tasks
// share ownership of it: they may outlive the code that submits them.
template <typename Tools>
class PerWorker {
 public:
  explicit PerWorker(const WorkerPool& pool) : tools_(pool.size()) {}
  // Made when the worker first asks.
  Tools& Of(unsigned worker) {
    std::unique_ptr<Tools>& tools = tools_[worker];
    if (!tools) tools = std::make_unique<Tools>();
    return *tools;
  }

 private:
  std::vector<std::unique_ptr<Tools>> tools_;
};

// The result of a task for the thread that waits for it: that it is done, or what it threw.
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
  // Returns when the work is done, even if it threw.
  void Join() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return settled_; });
  }
  // Returns when the work is done; throws what it threw.
  void Wait() {
    Join();
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool settled_ = false;
  std::exception_ptr error_;
};

}  // namespace stowage

#endif  // STOWAGE_BASE_WORKER_POOL_H_
