#include "read_back.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "../base/error.h"
#include "../base/worker_pool.h"
#include "uncached_file.h"

namespace stowage::medium {

namespace {

// How much is read at a time. One slot is read while another is hashed.
constexpr size_t kSlot = 4u << 20;

// The bytes of one file, in ascending order. The next slot is read on another thread.
class Stream {
 public:
  Stream(const std::string& path, WorkerPool* pool, std::array<AlignedMemory, 2>* memory)
      : file_(path), pool_(pool), memory_(memory) {}
  ~Stream() {
    if (next_) next_->outcome.Join();
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  struct Piece {
    const uint8_t* bytes;
    size_t size;
  };

  // At least one byte from `offset` on, which is not less than before; none at the end of the file. `end`: where the
  // last byte that is wanted ends.
  Piece At(uint64_t offset, uint64_t end) {
    if (offset < start_ || offset >= start_ + size_) Turn(offset - offset % kAlignment, end);
    const auto within = static_cast<size_t>(offset - start_);
    if (within >= size_) return {nullptr, 0};
    return {(*memory_)[current_].get() + within, size_ - within};
  }

  bool cached() const { return file_.cached(); }

 private:
  struct Reading {
    uint64_t offset;
    size_t slot;
    size_t size = 0;
    Outcome outcome;
  };

  void Turn(uint64_t offset, uint64_t end) {
    if (!next_ || next_->offset != offset) Begin(offset, 1 - current_);
    next_->outcome.Wait();
    current_ = next_->slot;
    start_ = offset;
    size_ = next_->size;
    next_.reset();
    if (size_ == kSlot && offset + kSlot < end) Begin(offset + kSlot, 1 - current_);
  }

  void Begin(uint64_t offset, size_t slot) {
    if (next_) next_->outcome.Join();
    next_ = std::make_unique<Reading>();
    next_->offset = offset;
    next_->slot = slot;
    pool_->Submit([this, reading = next_.get()](unsigned) {
      reading->outcome.Settle(
          [&] { reading->size = file_.Read((*memory_)[reading->slot].get(), kSlot, reading->offset); });
    });
  }

  UncachedFile file_;
  WorkerPool* const pool_;
  std::array<AlignedMemory, 2>* const memory_;
  size_t current_ = 0;
  uint64_t start_ = 0;
  size_t size_ = 0;
  std::unique_ptr<Reading> next_;
};

}  // namespace

ReadBack::ReadBack(ReadBackPlan plan, Observer observer) : plan_(std::move(plan)), observer_(std::move(observer)) {}

ReadBackResult ReadBack::Run() {
  ReadBackResult result;
  std::array<AlignedMemory, 2> memory = {Allocate(kSlot), Allocate(kSlot)};
  WorkerPool pool(1);
  const std::vector<Region>& regions = plan_.regions;
  for (size_t first = 0; first < regions.size();) {
    const uint32_t number = regions[first].file;
    size_t last = first;
    while (last + 1 < regions.size() && regions[last + 1].file == number) last++;
    const uint64_t end = regions[last].offset + regions[last].size;
    observer_.file(number);
    if (cancelled_) throw Error("ABORTED", "interrupted before the end");
    Stream stream(plan_.paths.at(number), &pool, &memory);
    for (; first <= last; first++) {
      const Region& region = regions[first];
      Sha256 hash;
      uint64_t done = 0;
      while (done < region.size) {
        if (cancelled_) throw Error("ABORTED", "interrupted before the end");
        const Stream::Piece piece = stream.At(region.offset + done, end);
        const auto size = static_cast<size_t>(std::min<uint64_t>(piece.size, region.size - done));
        if (size == 0) break;
        hash.Update(piece.bytes, size);
        done += size;
        observer_.progress(size);
      }
      const Sha256Hash found = hash.Finish();
      if (done < region.size || found != region.expected) {
        result.difference = Difference{first, done, found};
        return result;
      }
    }
    result.cached = result.cached || stream.cached();
  }
  return result;
}

}  // namespace stowage::medium
