// SHA-256 of many blobs at once, two at a time on one processor: within one hash each instruction waits for the one
// before, so a second, interleaved hash costs next to nothing.
#ifndef STOWAGE_TRANSFER_SHA256_LANE_H_
#define STOWAGE_TRANSFER_SHA256_LANE_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>

#include "../base/hash.h"

namespace stowage::transfer {

// One hash, used by one thread. What it offers may be hashed by another thread, together with that thread's own bytes.
class Sha256Lane {
 public:
  Sha256Lane();
  ~Sha256Lane();
  Sha256Lane(const Sha256Lane&) = delete;
  Sha256Lane& operator=(const Sha256Lane&) = delete;

  // Adds `size` bytes, which must not change until Await(). Use the time until then for other work.
  void Offer(const void* data, size_t size);
  // How long a lane that has nothing else to do waits for another before it hashes alone: about as long as that takes.
  static constexpr std::chrono::microseconds kPatience{1000};

  // Returns once what was offered is hashed, by this thread if no other did.
  void Await(std::chrono::microseconds patience = kPatience);
  // Adds bytes at once. Nothing may be on offer.
  void Update(const void* data, size_t size);
  // Nothing may be on offer.
  Sha256Hash Finish();

 private:
  friend class HashThread;
  enum class State { kIdle, kOffered, kTaken };

  static Sha256Lane* Other(const Sha256Lane* own);
  static void Hash(Sha256Lane* lane, std::unique_lock<std::mutex>* lock);
  void Take();
  void Return();
  void AddBlocks(size_t blocks);

  SHA256_CTX context_;
  // Of what is on offer, the whole blocks that are left, and the bytes after them.
  const uint8_t* data_ = nullptr;
  size_t blocks_ = 0;
  size_t tail_ = 0;
  State state_ = State::kIdle;  // under the mutex that all lanes share
};

// A thread that hashes what is on offer, for those who have better to do: who decompresses one large layer would
// otherwise leave the other processors idle.
class HashThread {
 public:
  // The one that is running, or a new one. Null if none can be started: nothing depends on it.
  static std::shared_ptr<HashThread> Get();
  ~HashThread();

 private:
  void Run() const;

  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace stowage::transfer

#endif  // STOWAGE_TRANSFER_SHA256_LANE_H_
