#include "coder.h"

#include <libdeflate.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "../base/error.h"
#include "../base/little_endian.h"
#include "galois.h"

namespace stowage::recovery {

namespace {

// Bytes of each block that one task multiplies: those of a whole batch and one sum stay in the cache of a processor.
constexpr size_t kChunk = 4096;
// Blocks that are added to the sums together: enough that a sum is rarely loaded, and small ones together take this
// many bytes.
constexpr size_t kFewestInBatch = 16;
constexpr size_t kMostInBatch = 64;
constexpr size_t kBatchBytes = 2 << 20;
// Slices start at multiples of this, as the pages of a file do.
constexpr uint64_t kSliceUnit = 4096;
// Bytes of a block that are read at a time to be hashed in order.
constexpr uint64_t kPiece = 1 << 20;
// What a worker may take to solve.
constexpr size_t kSolveBytes = 512 << 10;

size_t RoundUp(uint64_t size, size_t unit) { return static_cast<size_t>((size + unit - 1) / unit * unit); }

}  // namespace

Coder::Coder(CodePlan plan, std::function<void(uint64_t, uint64_t)> progress)
    : plan_(std::move(plan)),
      progress_(std::move(progress)),
      kernel_(*Kernels().front()),
      constants_(BlockConstants(kMostBlocks)),
      inputs_(plan_.paths, File::Mode::kRead),
      outputs_(plan_.targets, File::Mode::kWrite) {}

CodeResult Coder::Run() {
  ChooseRows();
  ChooseSlices();
  WorkerPool pool(plan_.threads);
  scratch_ = std::make_unique<Scratch>(pool);
  if (!repairs()) {
    result_.blocks.resize(plan_.blocks.size());
    packet_hashes_.resize(rows_.size());
    for (size_t row = 0; row < rows_.size(); row++) {
      std::vector<uint8_t> start(plan_.head.begin(), plan_.head.end());
      Store(start, plan_.exponents[row]);
      packet_hashes_[row].Update(start.data(), start.size());
    }
  }
  if (!repairs() && !hash_with_sums_) HashInOrder(&pool);
  const uint64_t size = slice_size_;
  for (slice_offset_ = 0; slice_offset_ < plan_.block_size; slice_offset_ += size) {
    slice_size_ = std::min(size, plan_.block_size - slice_offset_);
    StartSums(&pool);
    AddBlocks(&pool);
    if (repairs()) Solve(&pool);
    FinishSums(&pool);
  }
  for (Md5& hash : packet_hashes_) result_.packets.push_back(hash.Finish());
  return std::move(result_);
}

void Coder::CheckCancelled() const {
  if (cancelled_) throw Error("ABORTED", "aborted");
}

void Coder::Count(uint64_t bytes) {
  done_ += bytes;
  progress_(done_, total_);
}

// The matrix of some recovery blocks has no inverse, a weakness of the format: others take their place.
void Coder::ChooseRows() {
  rows_.resize(repairs() ? plan_.missing.size() : plan_.exponents.size());
  std::iota(rows_.begin(), rows_.end(), 0);
  if (!repairs()) return;
  for (size_t spare = rows_.size();; spare++) {
    inverse_ = std::make_unique<Matrix>(rows_.size(), kernel_);
    for (size_t row = 0; row < rows_.size(); row++) {
      for (size_t n = 0; n < plan_.missing.size(); n++) {
        inverse_->Set(row, n, Power(constants_[plan_.missing[n]], plan_.exponents[rows_[row]]));
      }
    }
    const auto dependent = inverse_->Invert([this] { CheckCancelled(); });
    if (!dependent) return;
    if (spare >= plan_.exponents.size())
      throw Error("UNSUPPORTED", "these recovery blocks cannot be combined to make these missing blocks");
    rows_[*dependent] = spare;
  }
}

void Coder::ChooseSlices() {
  const uint64_t whole = RoundUp(plan_.block_size, kGroup);
  batch_size_ = std::clamp<size_t>(static_cast<size_t>(kBatchBytes / whole), kFewestInBatch, kMostInBatch);
  const uint64_t held = rows_.size() + 2 * batch_size_;
  slice_size_ = plan_.block_size;
  if (held * whole > plan_.memory) slice_size_ = std::max(plan_.memory / held / kSliceUnit, uint64_t{1}) * kSliceUnit;
  stride_ = RoundUp(std::min(slice_size_, plan_.block_size), kGroup);
  sums_.resize(rows_.size() * stride_);
  hash_with_sums_ = !repairs() && slice_size_ >= plan_.block_size;
  const uint64_t bytes = std::accumulate(plan_.blocks.begin(), plan_.blocks.end(), uint64_t{0},
                                         [](uint64_t sum, const Range& range) { return sum + range.size; });
  total_ = repairs() || hash_with_sums_ ? bytes : bytes * 2;
}

void Coder::HashInOrder(WorkerPool* pool) {
  std::vector<uint8_t> bytes;
  TaskGroup tasks(pool);
  for (size_t n = 0; n < plan_.blocks.size(); n++) {
    const Range& range = plan_.blocks[n];
    HashBlock(range, n, &tasks, &bytes);
    if (n + 1 == plan_.blocks.size() || plan_.blocks[n + 1].file != range.file)
      result_.files.push_back(file_hash_.Finish());
  }
}

void Coder::HashBlock(const Range& range, size_t number, TaskGroup* tasks, std::vector<uint8_t>* bytes) {
  Md5 md5;
  uint32_t crc32 = 0;
  for (uint64_t at = 0; at < plan_.block_size; at += kPiece) {
    CheckCancelled();
    const auto size = static_cast<size_t>(std::min(kPiece, plan_.block_size - at));
    const auto there = static_cast<size_t>(range.size > at ? std::min<uint64_t>(size, range.size - at) : 0);
    bytes->assign(size, 0);
    if (there > 0) inputs_.Open(range.file).Read(bytes->data(), there, range.offset + at);
    tasks->Add([&](unsigned) { file_hash_.Update(bytes->data(), there); });
    tasks->Add([&](unsigned) {
      md5.Update(bytes->data(), size);
      crc32 = libdeflate_crc32(crc32, bytes->data(), size);
    });
    tasks->Wait();
    Count(there);
  }
  result_.blocks[number] = {md5.Finish(), crc32, true};
}

// Zero, or the recovery blocks.
void Coder::StartSums(WorkerPool* pool) {
  std::fill(sums_.begin(), sums_.end(), 0);
  if (!repairs()) return;
  Batch batch;
  batch.bytes.resize(batch_size_ * stride_);
  for (size_t first = 0; first < rows_.size(); first += batch_size_) {
    CheckCancelled();
    const size_t count = std::min(batch_size_, rows_.size() - first);
    TaskGroup tasks(pool);
    for (size_t n = 0; n < count; n++) {
      uint8_t* const from = batch.bytes.data() + n * stride_;
      Read(plan_.recovery[rows_[first + n]], from);
      tasks.Add([this, to = Sum(first + n), from](unsigned) { kernel_.spread(to, from, stride_); });
    }
    tasks.Wait();
  }
}

void Coder::AddBlocks(WorkerPool* pool) {
  Batch batches[2];
  Batch* current = &batches[0];
  Batch* next = &batches[1];
  TaskGroup tasks(pool);
  Fill(current, 0);
  while (current->count > 0) {
    CheckCancelled();
    if (hash_with_sums_) HashBatch(*current, &tasks);
    MultiplyBatch(*current, &tasks);
    Fill(next, current->first + current->count);
    tasks.Wait();
    uint64_t bytes = 0;
    for (size_t n = 0; n < current->count; n++) {
      const uint64_t size = plan_.blocks[current->first + n].size;
      bytes += size > slice_offset_ ? std::min(slice_size_, size - slice_offset_) : 0;
    }
    Count(bytes);
    std::swap(current, next);
  }
}

void Coder::Fill(Batch* batch, size_t first) {
  batch->first = first;
  batch->count = std::min(batch_size_, plan_.blocks.size() - first);
  batch->bytes.resize(batch_size_ * stride_);
  for (size_t n = 0; n < batch->count; n++) Read(plan_.blocks[first + n], batch->bytes.data() + n * stride_);
  batch->numbers.clear();
  for (const size_t row : rows_) {
    for (size_t n = 0; n < batch->count; n++) {
      batch->numbers.push_back(Power(constants_[plan_.numbers[first + n]], plan_.exponents[row]));
    }
  }
}

// What the slice has of a block, then zeros.
void Coder::Read(const Range& range, uint8_t* to) {
  const uint64_t left = range.size > slice_offset_ ? range.size - slice_offset_ : 0;
  const auto size = static_cast<size_t>(std::min(left, slice_size_));
  if (size > 0) inputs_.Open(range.file).Read(to, size, range.offset + slice_offset_);
  std::memset(to + size, 0, stride_ - size);
}

void Coder::HashBatch(const Batch& batch, TaskGroup* tasks) {
  tasks->Add([&](unsigned) { HashFiles(batch); });
  for (size_t first = 0; first < batch.count; first += Md5Lanes::kLanes) {
    tasks->Add([this, &batch, first](unsigned) { HashLanes(batch, first); });
  }
}

void Coder::HashFiles(const Batch& batch) {
  for (size_t n = 0; n < batch.count; n++) {
    const size_t block = batch.first + n;
    file_hash_.Update(batch.bytes.data() + n * stride_, static_cast<size_t>(plan_.blocks[block].size));
    if (block + 1 == plan_.blocks.size() || plan_.blocks[block + 1].file != plan_.blocks[block].file)
      result_.files.push_back(file_hash_.Finish());
  }
}

void Coder::HashLanes(const Batch& batch, size_t first) {
  const size_t count = std::min(Md5Lanes::kLanes, batch.count - first);
  const auto size = static_cast<size_t>(plan_.block_size);
  Md5Lanes::Pieces pieces;
  for (size_t n = 0; n < pieces.size(); n++) pieces[n] = batch.bytes.data() + (first + (n < count ? n : 0)) * stride_;
  Md5Lanes md5;
  md5.Update(pieces, size);
  const auto hashes = md5.Finish();
  for (size_t n = 0; n < count; n++) {
    result_.blocks[batch.first + first + n] = {hashes[n], libdeflate_crc32(0, pieces[n], size), true};
  }
}

void Coder::MultiplyBatch(const Batch& batch, TaskGroup* tasks) {
  const size_t chunks = (stride_ + kChunk - 1) / kChunk;
  // Small blocks have too few chunks for all threads: then each takes some of the rows.
  const size_t shares = std::clamp<size_t>(plan_.threads / chunks, 1, rows_.size());
  for (size_t at = 0; at < stride_; at += kChunk) {
    const size_t size = std::min(kChunk, stride_ - at);
    for (size_t share = 0; share < shares; share++) {
      const size_t first = rows_.size() * share / shares;
      const size_t last = rows_.size() * (share + 1) / shares;
      tasks->Add([this, &batch, at, size, first, last](unsigned worker) {
        Multiply(batch, at, size, first, last, &scratch_->Of(worker));
      });
    }
  }
}

void Coder::Multiply(const Batch& batch, size_t at, size_t size, size_t first_row, size_t last_row,
                     std::vector<uint8_t>* scratch) {
  if (scratch->size() < size * (2 * batch.count + 1)) scratch->resize(size * (2 * batch.count + 1));
  uint8_t* const spread = scratch->data();
  uint8_t* const factors = spread + size;
  for (size_t n = 0; n < batch.count; n++) {
    kernel_.spread(spread, batch.bytes.data() + n * stride_ + at, size);
    kernel_.split(factors + n * size * 2, spread, size);
  }
  for (size_t row = first_row; row < last_row; row++) {
    const uint16_t* const numbers = batch.numbers.data() + row * batch.count;
    for (size_t n = 0; n < batch.count; n++) kernel_.add(Sum(row) + at, factors + n * size * 2, numbers[n], size);
  }
}

void Coder::Solve(WorkerPool* pool) {
  const size_t chunk = std::clamp<size_t>(kSolveBytes / rows_.size() / 2 / kGroup, 1, kChunk / kGroup) * kGroup;
  TaskGroup tasks(pool);
  for (size_t at = 0; at < stride_; at += chunk) {
    const size_t size = std::min(chunk, stride_ - at);
    tasks.Add([this, at, size](unsigned worker) {
      CheckCancelled();
      SolveChunk(at, size, &scratch_->Of(worker));
    });
  }
  tasks.Wait();
}

void Coder::SolveChunk(size_t at, size_t size, std::vector<uint8_t>* scratch) {
  if (scratch->size() < size * 2 * rows_.size()) scratch->resize(size * 2 * rows_.size());
  for (size_t row = 0; row < rows_.size(); row++) {
    kernel_.split(scratch->data() + row * size * 2, Sum(row) + at, size);
  }
  for (size_t block = 0; block < rows_.size(); block++) {
    std::memset(Sum(block) + at, 0, size);
    for (size_t row = 0; row < rows_.size(); row++) {
      kernel_.add(Sum(block) + at, scratch->data() + row * size * 2, inverse_->At(block, row), size);
    }
  }
}

void Coder::FinishSums(WorkerPool* pool) {
  TaskGroup tasks(pool);
  for (size_t row = 0; row < rows_.size(); row++) {
    tasks.Add([this, row](unsigned) {
      kernel_.gather(Sum(row), stride_);
      if (!repairs()) packet_hashes_[row].Update(Sum(row), static_cast<size_t>(slice_size_));
    });
  }
  tasks.Wait();
  for (size_t row = 0; row < rows_.size(); row++) {
    CheckCancelled();
    const Range& to = plan_.outputs[row];
    const uint64_t left = to.size > slice_offset_ ? to.size - slice_offset_ : 0;
    const auto size = static_cast<size_t>(std::min(left, slice_size_));
    if (size > 0) outputs_.Open(to.file).Write(Sum(row), size, to.offset + slice_offset_);
  }
}

}  // namespace stowage::recovery
