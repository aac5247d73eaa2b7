#include "kernel.h"

#include <cstring>

#include "galois.h"

namespace stowage::recovery {

namespace {

void Copy(uint8_t* to, const uint8_t* from, size_t size) { std::memcpy(to, from, size); }

void Nothing(uint8_t*, size_t) {}

void Add(uint8_t* sum, const uint8_t* factor, uint16_t number, size_t size) {
  // The products with each value of the low and of the high byte of a word.
  uint16_t low[256];
  uint16_t high[256];
  low[0] = high[0] = 0;
  uint16_t product = number;
  for (uint16_t* const table : {low, high}) {
    for (size_t bit = 1; bit < 256; bit *= 2) {
      for (size_t n = 0; n < bit; n++) table[bit + n] = static_cast<uint16_t>(table[n] ^ product);
      product = Double(product);
    }
  }
  for (size_t at = 0; at < size; at += 2) {
    const auto word = static_cast<uint16_t>(low[factor[at]] ^ high[factor[at + 1]]);
    sum[at] ^= static_cast<uint8_t>(word);
    sum[at + 1] ^= static_cast<uint8_t>(word >> 8);
  }
}

}  // namespace

const Kernel* PortableKernel() {
  static constexpr Kernel kKernel = {"portable", 1, Copy, Nothing, Copy, Add};
  return &kKernel;
}

const std::vector<const Kernel*>& Kernels() {
  static const std::vector<const Kernel*> kKernels = [] {
    std::vector<const Kernel*> kernels;
    for (const Kernel* const kernel : {Avx2Kernel(), Ssse3Kernel(), NeonKernel(), PortableKernel()}) {
      if (kernel != nullptr) kernels.push_back(kernel);
    }
    return kernels;
  }();
  return kKernels;
}

}  // namespace stowage::recovery
