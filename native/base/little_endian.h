// Converts numbers to little-endian bytes and back.
#ifndef STOWAGE_BASE_LITTLE_ENDIAN_H_
#define STOWAGE_BASE_LITTLE_ENDIAN_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace stowage {

inline uint16_t Load16(const uint8_t* p) { return static_cast<uint16_t>(p[0] | p[1] << 8); }
inline uint32_t Load32(const uint8_t* p) { return Load16(p) | static_cast<uint32_t>(Load16(p + 2)) << 16; }
inline uint64_t Load64(const uint8_t* p) { return Load32(p) | static_cast<uint64_t>(Load32(p + 4)) << 32; }

// Appends as many bytes as the type of `value` has.
template <typename Number>
void Store(std::vector<uint8_t>& bytes, Number value) {
  for (size_t i = 0; i < sizeof value; i++) {
    bytes.push_back(static_cast<uint8_t>(static_cast<uint64_t>(value) >> (8 * i)));
  }
}

}  // namespace stowage

#endif  // STOWAGE_BASE_LITTLE_ENDIAN_H_
