// SHA-256 of many blobs at once, two at a time on one processor: the instructions for it wait for one another within
// one hash, so that a second one beside it costs next to nothing.
#ifndef STOWAGE_TRANSFER_SHA256_LANE_H_
#define STOWAGE_TRANSFER_SHA256_LANE_H_

#include <cstddef>
#include <cstdint>

#include "../base/hash.h"

namespace stowage::transfer {

// One hash, used by one thread. What it offers may be hashed by any thread that has something to hash as well.
class Sha256Lane {
 public:
  Sha256Lane();
  ~Sha256Lane();
  Sha256Lane(const Sha256Lane&) = delete;
  Sha256Lane& operator=(const Sha256Lane&) = delete;

  // Adds `size` bytes, which must stay as they are until Await(): do something else meanwhile that waits.
  void Offer(const void* data, size_t size);
  // Returns once what was offered is hashed, by this thread where no other did.
  void Await();
  // Adds them at once. Nothing may be on offer.
  void Update(const void* data, size_t size);
  // Nothing may be on offer.
  Sha256Hash Finish();

 private:
  enum class State { kIdle, kOffered, kTaken };

  static Sha256Lane* Other(const Sha256Lane* own);
  static void Hash(Sha256Lane* one, Sha256Lane* other);
  void AddBlocks(size_t blocks);

  SHA256_CTX context_;
  // Of what is on offer, the whole blocks that are left, and what is behind them.
  const uint8_t* data_ = nullptr;
  size_t blocks_ = 0;
  size_t tail_ = 0;
  State state_ = State::kIdle;  // with the mutex that all share
};

}  // namespace stowage::transfer

#endif  // STOWAGE_TRANSFER_SHA256_LANE_H_
