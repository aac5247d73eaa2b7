// GF(2^16) as Parity Volume Set Specification 2.0 uses it: generator 0x1100B.
#ifndef STOWAGE_RECOVERY_GALOIS_H_
#define STOWAGE_RECOVERY_GALOIS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace stowage::recovery {

uint16_t Multiply(uint16_t a, uint16_t b);
// Of anything but zero.
uint16_t Inverse(uint16_t a);
uint16_t Power(uint16_t base, uint32_t exponent);
// Twice `a`, without a table.
inline uint16_t Double(uint16_t a) { return static_cast<uint16_t>((a << 1) ^ (a >> 15 ? 0x100B : 0)); }

// The constants of the first `count` input blocks, up to kMostBlocks: the powers of 2 whose exponents have no factor in
// common with 65535, so that each has the order 65535.
std::vector<uint16_t> BlockConstants(size_t count);
constexpr size_t kMostBlocks = 32768;

}  // namespace stowage::recovery

#endif  // STOWAGE_RECOVERY_GALOIS_H_
