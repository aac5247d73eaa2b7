#include "worker_pool.h"

#include <string>
#include <system_error>
#include <utility>

#include "error.h"

namespace stowage {

WorkerPool::WorkerPool(unsigned threads) {
  threads_.reserve(threads);  // nothing may be thrown while threads run
  for (unsigned i = 0; i < threads; i++) {
    try {
      threads_.emplace_back([this, i] { Run(i); });
    } catch (const std::system_error& error) {
      // No more threads are available: those that run do the work, if there are any.
      if (threads_.empty()) throw Error("WIM_ERROR", std::string("cannot start a thread: ") + error.what());
      break;
    }
  }
}

WorkerPool::~WorkerPool() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    tasks_.clear();
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void WorkerPool::Submit(Task task) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  wake_.notify_one();
}

void WorkerPool::Run(unsigned worker) {
  for (;;) {
    Task task;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
      if (stopping_) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task(worker);
  }
}

}  // namespace stowage
