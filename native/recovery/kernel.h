// The multiplication of whole buffers by one number of GF(2^16), in the forms that processors offer.
#ifndef STOWAGE_RECOVERY_KERNEL_H_
#define STOWAGE_RECOVERY_KERNEL_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace stowage::recovery {

// A sum has the layout of the kernel: vectors of the low bytes of `width` words, each followed by that of their high
// bytes; with width 1, words as they are in a file. A factor is split into nibbles, which takes twice the space, so
// that this is done once for all sums that it goes into. Sizes are those of the words in bytes, and multiples of
// kGroup.
struct Kernel {
  const char* name;
  // Words of a vector.
  size_t width;
  // From words as they are in a file, little-endian, to the layout of a sum; words change places within kGroup.
  void (*spread)(uint8_t* to, const uint8_t* from, size_t size);
  // The reverse, in place.
  void (*gather)(uint8_t* sum, size_t size);
  // From the layout of a sum to that of a factor.
  void (*split)(uint8_t* to, const uint8_t* from, size_t size);
  // sum += number * factor
  void (*add)(uint8_t* sum, const uint8_t* factor, uint16_t number, size_t size);
};

constexpr size_t kGroup = 64;

// Those that this processor can run, the fastest first.
const std::vector<const Kernel*>& Kernels();

// Of each instruction set; nullptr if the code is compiled for another processor or this one lacks it.
const Kernel* PortableKernel();
const Kernel* Ssse3Kernel();
const Kernel* Avx2Kernel();
const Kernel* NeonKernel();

// The word in place `n` of a sum.
inline uint16_t WordAt(const uint8_t* sum, size_t n, size_t width) {
  const uint8_t* const low = sum + n / width * width * 2 + n % width;
  return static_cast<uint16_t>(low[0] | low[width] << 8);
}

inline void SetWord(uint8_t* sum, size_t n, size_t width, uint16_t value) {
  uint8_t* const low = sum + n / width * width * 2 + n % width;
  low[0] = static_cast<uint8_t>(value);
  low[width] = static_cast<uint8_t>(value >> 8);
}

// The products of a number with the 16 values of each of the four nibbles of a word, lowest nibble first: low bytes and
// high bytes.
struct NibbleTables {
  alignas(16) uint8_t low[4][16];
  alignas(16) uint8_t high[4][16];
};

}  // namespace stowage::recovery

#endif  // STOWAGE_RECOVERY_KERNEL_H_
