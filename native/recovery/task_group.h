// Tasks that a pool runs side by side, and that end together.
#ifndef STOWAGE_RECOVERY_TASK_GROUP_H_
#define STOWAGE_RECOVERY_TASK_GROUP_H_

#include <deque>
#include <functional>
#include <utility>

#include "../base/worker_pool.h"

namespace stowage::recovery {

class TaskGroup {
 public:
  explicit TaskGroup(WorkerPool* pool) : pool_(*pool) {}
  // What the tasks use must outlive them.
  ~TaskGroup() {
    for (Outcome& outcome : outcomes_) outcome.Join();
  }
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  void Add(WorkerPool::Task task) {
    Outcome* const outcome = &outcomes_.emplace_back();
    pool_.Submit([outcome, task = std::move(task)](unsigned worker) { outcome->Settle([&] { task(worker); }); });
  }

  // Returns when all are done; throws what one of them threw.
  void Wait() {
    for (Outcome& outcome : outcomes_) outcome.Join();
    for (Outcome& outcome : outcomes_) outcome.Wait();
    outcomes_.clear();
  }

 private:
  WorkerPool& pool_;
  std::deque<Outcome> outcomes_;
};

}  // namespace stowage::recovery

#endif  // STOWAGE_RECOVERY_TASK_GROUP_H_
