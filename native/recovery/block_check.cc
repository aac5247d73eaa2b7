#include "block_check.h"

#include <libdeflate.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "../base/error.h"
#include "task_group.h"

namespace stowage::recovery {

namespace {

// Bytes of each lane that are read at a time, a multiple of what MD5 takes.
constexpr size_t kPiece = 256 << 10;

// Whether the error says that this part of a file is not there or not readable, which repair can help with.
bool IsDamage(const Error& error) {
  return error.code() == "ENOENT" || error.code() == "EIO" || error.code() == "WIM_CORRUPT" ||
         error.code() == "ENOTDIR";
}

}  // namespace

// What one worker keeps.
class BlockCheck::Reader {
 public:
  explicit Reader(const BlockCheck& check) : check_(check), files_(check.plan_.paths, File::Mode::kRead) {}

  void Sum(Batch batch, BlockSum* sums) {
    const uint64_t padded = check_.Padded(batch.first);
    const auto piece = static_cast<size_t>(std::min<uint64_t>(padded, kPiece));
    bytes_.resize(std::max<size_t>(piece, 1) * Md5Lanes::kLanes);
    Md5Lanes::Pieces pieces;
    for (size_t n = 0; n < pieces.size(); n++) pieces[n] = bytes_.data() + (n < batch.count ? n : 0) * piece;
    for (size_t n = 0; n < batch.count; n++) sums[batch.first + n] = {{}, 0, true};

    Md5Lanes md5;
    for (uint64_t done = 0; done < padded; done += piece) {
      if (check_.cancelled_) throw Error("ABORTED", "aborted");
      const auto size = static_cast<size_t>(std::min<uint64_t>(piece, padded - done));
      uint64_t read = 0;
      for (size_t n = 0; n < batch.count; n++) {
        BlockSum& sum = sums[batch.first + n];
        uint8_t* const to = bytes_.data() + n * piece;
        const Range& range = check_.plan_.ranges[batch.first + n];
        sum.read = sum.read && Read(range, done, to, size);
        if (!sum.read) continue;
        sum.crc32 = libdeflate_crc32(sum.crc32, to, size);
        read += std::min<uint64_t>(size, range.size > done ? range.size - done : 0);
      }
      md5.Update(pieces, size);
      check_.progress_(read);
    }
    const auto hashes = md5.Finish();
    for (size_t n = 0; n < batch.count; n++) sums[batch.first + n].md5 = hashes[n];
  }

 private:
  // Bytes of the padded block from `done` on; false if they cannot be read.
  bool Read(const Range& range, uint64_t done, uint8_t* to, size_t size) {
    const auto there = static_cast<size_t>(std::min<uint64_t>(size, range.size > done ? range.size - done : 0));
    std::memset(to + there, 0, size - there);
    if (there == 0) return true;
    try {
      const File& file = files_.Open(range.file);
      if (file.size() < range.offset + range.size) return false;
      file.Read(to, there, range.offset + done);
      return true;
    } catch (const Error& error) {
      if (!IsDamage(error)) throw;
      return false;
    }
  }

  const BlockCheck& check_;
  Files files_;
  std::vector<uint8_t> bytes_;
};

BlockCheck::BlockCheck(CheckPlan plan, std::function<void(uint64_t)> progress)
    : plan_(std::move(plan)), progress_(std::move(progress)) {}

uint64_t BlockCheck::Padded(size_t range) const {
  return plan_.block_size > 0 ? plan_.block_size : plan_.ranges[range].size;
}

std::vector<BlockCheck::Batch> BlockCheck::Batches() const {
  std::vector<Batch> batches;
  for (size_t n = 0; n < plan_.ranges.size(); n++) {
    if (!batches.empty() && batches.back().count < Md5Lanes::kLanes && Padded(batches.back().first) == Padded(n)) {
      batches.back().count++;
    } else {
      batches.push_back({n, 1});
    }
  }
  return batches;
}

std::vector<BlockSum> BlockCheck::Run() {
  std::vector<BlockSum> sums(plan_.ranges.size());
  const std::vector<Batch> batches = Batches();
  std::atomic<size_t> next{0};
  WorkerPool pool(plan_.threads);
  TaskGroup tasks(&pool);
  for (unsigned n = 0; n < pool.size(); n++) {
    tasks.Add([&](unsigned) {
      Reader reader(*this);
      for (size_t batch = next++; batch < batches.size(); batch = next++) reader.Sum(batches[batch], sums.data());
    });
  }
  tasks.Wait();
  return sums;
}

}  // namespace stowage::recovery
