#include "layer_input.h"

#include <system_error>
#include <utility>

#include "../base/error.h"

namespace stowage::layer {

namespace {

constexpr size_t kBlockSize = Decoder::kBlockSize;
// Decompressed bytes ahead of the reader.
constexpr size_t kAhead = 4u << 20;

}  // namespace

LayerInput::LayerInput(std::shared_ptr<ByteQueue> queue, std::string where)
    : queue_(std::move(queue)), where_(std::move(where)) {
  try {
    thread_ = std::thread([this] {
      std::exception_ptr failure;
      try {
        Decode();
      } catch (...) {
        failure = std::current_exception();
      }
      std::lock_guard<std::mutex> lock(mutex_);
      failure_ = failure;
      ended_ = true;
      changed_.notify_all();
    });
  } catch (const std::system_error& error) {
    throw Error("WIM_ERROR", std::string("cannot start a thread: ") + error.what());
  }
}

LayerInput::~LayerInput() {
  queue_->Cancel();
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

size_t LayerInput::Read(const uint8_t** data) {
  if (finished_) return 0;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    if (block_.memory.size() >= kBlockSize && spares_.size() < 2) spares_.push_back(std::move(block_));
    changed_.wait(lock, [this] { return ended_ || !blocks_.empty(); });
    if (blocks_.empty()) {
      if (failure_) std::rethrow_exception(failure_);
      finished_ = true;
      facts_.diff_id = diff_id_.Finish();
      return 0;
    }
    block_ = std::move(blocks_.front());
    blocks_.pop_front();
    ahead_ -= block_.size();
    changed_.notify_all();
  }
  diff_id_.Update(block_.data(), block_.size());
  facts_.uncompressed_size += block_.size();
  *data = block_.data();
  return block_.size();
}

void LayerInput::Deliver(Block* block) {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return stopping_ || ahead_ < kAhead; });
  if (stopping_) throw Error("ABORTED", "interrupted before the end");
  ahead_ += block->size();
  blocks_.push_back(std::exchange(*block, {}));
  if (!spares_.empty()) {
    *block = std::move(spares_.back());
    spares_.pop_back();
  }
  changed_.notify_all();
}

Error LayerInput::Damage(const std::string& why, uint64_t offset) const {
  return Error("LAYER_CORRUPT", where_ + ": at byte " + std::to_string(offset) + ": " + why);
}

void LayerInput::Decode() {
  Sha256 digest;
  std::vector<uint8_t> piece;
  std::vector<uint8_t> head;
  while (head.size() < Decoder::kMarkSize && queue_->Take(&piece)) {
    if (head.empty()) {
      head = std::move(piece);
    } else {
      head.insert(head.end(), piece.begin(), piece.end());
    }
  }
  facts_.compression = CompressionOf(head);
  const std::unique_ptr<Decoder> decoder = DecoderFor(facts_.compression, *this);
  uint64_t size = 0;
  for (bool more = !head.empty(); more; more = queue_->Take(&head)) {
    digest.Update(head.data(), head.size());
    const uint64_t offset = size;
    size += head.size();
    if (decoder) {
      decoder->Add(head.data(), head.size(), offset);
    } else if (size > offset) {
      Block block{std::move(head), 0, size - offset};
      Deliver(&block);
    }
  }
  if (size == 0) throw Damage("it is empty", 0);
  if (decoder) decoder->Finish(size);
  facts_.digest = digest.Finish();
  facts_.size = size;
}

}  // namespace stowage::layer
