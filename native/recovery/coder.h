// Reed-Solomon coding of a recovery set: makes recovery blocks from all input blocks, or missing input blocks from
// recovery blocks and the input blocks that are left. Format: Parity Volume Set Specification 2.0.
#ifndef STOWAGE_RECOVERY_CODER_H_
#define STOWAGE_RECOVERY_CODER_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "block_check.h"
#include "files.h"
#include "kernel.h"
#include "matrix.h"
#include "md5.h"
#include "task_group.h"

namespace stowage::recovery {

struct CodePlan {
  std::vector<std::string> paths;
  // Existing files to write to.
  std::vector<std::string> targets;
  // In bytes, a multiple of 4.
  uint64_t block_size;
  // Input blocks in `paths`, and the number of each in the recovery set. The blocks of a file follow one another.
  std::vector<Range> blocks;
  std::vector<uint32_t> numbers;
  // Of the recovery blocks: to make, or to use. Of those to use there may be more than are needed.
  std::vector<uint32_t> exponents;
  // To repair: where each recovery block is in `paths`, and the numbers of the input blocks that are missing.
  std::vector<Range> recovery;
  std::vector<uint32_t> missing;
  // Where in `targets` each recovery block, or each missing block, is to be written; not longer than a block.
  std::vector<Range> outputs;
  // To make recovery blocks: what the hash of each packet begins with, before its exponent.
  std::array<uint8_t, 32> head;
  // Bytes for blocks that are held in memory; the matrix of a repair is not counted.
  uint64_t memory;
  unsigned threads;
};

// When recovery blocks were made; otherwise empty.
struct CodeResult {
  std::vector<BlockSum> blocks;
  // The MD5 of each file, in the order in which `blocks` has them.
  std::vector<Md5Hash> files;
  // That of each recovery packet.
  std::vector<Md5Hash> packets;
};

class Coder {
 public:
  // As many missing blocks as one repair can make: its matrix takes 128 MiB.
  static constexpr size_t kMostMissing = 8192;

  // `progress` gets the bytes done and the bytes to do, on the thread of Run().
  Coder(CodePlan plan, std::function<void(uint64_t done, uint64_t total)> progress);

  // Throws ABORTED, UNSUPPORTED if the recovery blocks do not suffice although there are enough, and what reading and
  // writing throws. Does not sync what it wrote.
  CodeResult Run();
  void Cancel() { cancelled_ = true; }
  void Finish() {}

 private:
  // Input blocks in memory, one after another with stride_ bytes for each.
  struct Batch {
    std::vector<uint8_t> bytes;
    size_t first = 0;
    size_t count = 0;
    // For each row, that of each block.
    std::vector<uint16_t> numbers;
  };
  using Scratch = PerWorker<std::vector<uint8_t>>;

  bool repairs() const { return !plan_.missing.empty(); }
  void CheckCancelled() const;
  void Count(uint64_t bytes);
  void ChooseRows();
  void ChooseSlices();
  void HashInOrder(WorkerPool* pool);
  void HashBlock(const Range& range, size_t number, TaskGroup* tasks, std::vector<uint8_t>* bytes);

  void StartSums(WorkerPool* pool);
  void AddBlocks(WorkerPool* pool);
  void Fill(Batch* batch, size_t first);
  void Read(const Range& range, uint8_t* to);
  void HashBatch(const Batch& batch, TaskGroup* tasks);
  void HashFiles(const Batch& batch);
  void HashLanes(const Batch& batch, size_t first);
  void MultiplyBatch(const Batch& batch, TaskGroup* tasks);
  void Multiply(const Batch& batch, size_t at, size_t size, size_t first_row, size_t last_row,
                std::vector<uint8_t>* scratch);
  void Solve(WorkerPool* pool);
  void SolveChunk(size_t at, size_t size, std::vector<uint8_t>* scratch);
  void FinishSums(WorkerPool* pool);

  uint8_t* Sum(size_t row) { return sums_.data() + row * stride_; }

  const CodePlan plan_;
  const std::function<void(uint64_t, uint64_t)> progress_;
  const Kernel& kernel_;
  std::vector<uint16_t> constants_;
  std::atomic<bool> cancelled_{false};

  Files inputs_;
  Files outputs_;
  uint64_t done_ = 0;
  uint64_t total_ = 0;

  // The recovery blocks in use, by their place in the plan, and the inverse of their matrix for a repair.
  std::vector<size_t> rows_;
  std::unique_ptr<Matrix> inverse_;

  // The part of every block that is being worked on, and what it takes in memory.
  uint64_t slice_offset_ = 0;
  uint64_t slice_size_ = 0;
  size_t stride_ = 0;
  size_t batch_size_ = 0;
  bool hash_with_sums_ = false;
  std::vector<uint8_t> sums_;
  std::unique_ptr<Scratch> scratch_;

  CodeResult result_;
  Md5 file_hash_;
  std::vector<Md5> packet_hashes_;
};

}  // namespace stowage::recovery

#endif  // STOWAGE_RECOVERY_CODER_H_
