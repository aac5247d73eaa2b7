// MD5 (RFC 1321) of several blocks at a time: within one hash each instruction waits for the one before, so eight cost
// little more than one.
#ifndef STOWAGE_RECOVERY_MD5_H_
#define STOWAGE_RECOVERY_MD5_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "../base/hash.h"

namespace stowage::recovery {

using Md5Hash = std::array<uint8_t, 16>;

// The hashes of up to kLanes blocks of the same size, fed in step.
class Md5Lanes {
 public:
  static constexpr size_t kLanes = 8;
  using Pieces = std::array<const uint8_t*, kLanes>;

  Md5Lanes();
  // `size` bytes of each block, a multiple of 64 except in the last call. Every lane needs some bytes to read.
  void Update(const Pieces& pieces, size_t size);
  // Starts again.
  std::array<Md5Hash, kLanes> Finish();

 private:
  // Words A to D, each of all lanes.
  using State = std::array<std::array<uint32_t, kLanes>, 4>;

  void AddChunks(Pieces pieces, size_t chunks);

  alignas(32) State state_;
  uint64_t size_;
  size_t held_;
  uint8_t tails_[kLanes][128];
};

}  // namespace stowage::recovery

#endif  // STOWAGE_RECOVERY_MD5_H_
