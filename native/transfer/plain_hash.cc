#include "plain_hash.h"

#include <chrono>
#include <utility>

namespace stowage::transfer {

namespace {

// From this size in bytes on, a layer that is over kGrowth times its compressed size is not followed to its end. The
// same as in src/bundle/layer-hash.ts.
constexpr uint64_t kGrowthFree = 1u << 30;
constexpr uint64_t kGrowth = 200;

}  // namespace

void PlainHash::Add(const uint8_t* bytes, size_t size) {
  if (begun_) return Decode(bytes, size);
  head_.insert(head_.end(), bytes, bytes + size);
  if (head_.size() >= Decoder::kMarkSize) Begin();
}

Plain PlainHash::Finish() {
  if (!begun_) Begin();
  if (!decoder_) return {};
  try {
    if (!failure_) decoder_->Finish(size_);
  } catch (const Error& error) {
    failure_ = error;
  }
  hash_.Await(std::chrono::microseconds(0));
  if (failure_) return {std::nullopt, failure_};
  return {hash_.Finish(), std::nullopt};
}

void PlainHash::Begin() {
  begun_ = true;
  decoder_ = DecoderFor(CompressionOf(head_), *this);
  if (decoder_) thread_ = HashThread::Get();
  Decode(head_.data(), head_.size());
  head_ = {};
}

void PlainHash::Decode(const uint8_t* bytes, size_t size) {
  if (!decoder_ || failure_ || size == 0) return;
  const uint64_t offset = size_;
  size_ += size;
  try {
    decoder_->Add(bytes, size, offset);
  } catch (const Error& error) {
    failure_ = error;
  }
}

void PlainHash::Deliver(Block* block) {
  hash_.Await(std::chrono::microseconds(0));
  plain_size_ += block->size();
  std::swap(block_, *block);
  hash_.Offer(block_.data(), block_.size());
  if (plain_size_ <= kGrowthFree || plain_size_ <= kGrowth * size_) return;
  throw Error("UNSUPPORTED", "it is over " + std::to_string(kGrowth) + " times as large decompressed, and over " +
                                 std::to_string(kGrowthFree) + " bytes");
}

Error PlainHash::Damage(const std::string& why, uint64_t offset) const {
  return Error("LAYER_CORRUPT", "at byte " + std::to_string(offset) + ": " + why);
}

}  // namespace stowage::transfer
