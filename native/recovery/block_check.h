// Checksums of blocks, wherever they are in files: what verification compares, and repair proves its result by.
#ifndef STOWAGE_RECOVERY_BLOCK_CHECK_H_
#define STOWAGE_RECOVERY_BLOCK_CHECK_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "files.h"
#include "md5.h"

namespace stowage::recovery {

struct BlockSum {
  Md5Hash md5;
  uint32_t crc32;
  // False if the file is missing, ends before, or cannot be read there.
  bool read;
};

struct CheckPlan {
  std::vector<std::string> paths;
  std::vector<Range> ranges;
  // Size of each block with the zeros after its range; 0 for as long as the range.
  uint64_t block_size;
  unsigned threads;
};

class BlockCheck {
 public:
  // `progress` gets the bytes that were read since it was last called, on any thread.
  BlockCheck(CheckPlan plan, std::function<void(uint64_t)> progress);

  // The checksums of the ranges, in their order. Throws ABORTED, and errors of opening files that exist.
  std::vector<BlockSum> Run();
  void Cancel() { cancelled_ = true; }
  void Finish() {}

 private:
  struct Batch {
    size_t first;
    size_t count;
  };
  class Reader;

  std::vector<Batch> Batches() const;
  uint64_t Padded(size_t range) const;

  const CheckPlan plan_;
  const std::function<void(uint64_t)> progress_;
  std::atomic<bool> cancelled_{false};
};

}  // namespace stowage::recovery

#endif  // STOWAGE_RECOVERY_BLOCK_CHECK_H_
