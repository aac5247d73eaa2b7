// For AArch64: a product is looked up nibble by nibble, 16 words at a time, with TBL.
#include "kernel.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#include "galois.h"

namespace stowage::recovery {

namespace {

void Tabulate(NibbleTables* tables, uint16_t number) {
  uint16_t product = number;
  for (int nibble = 0; nibble < 4; nibble++) {
    uint8_t* const low = tables->low[nibble];
    uint8_t* const high = tables->high[nibble];
    low[0] = high[0] = 0;
    for (int bit = 1; bit < 16; bit *= 2) {
      for (int n = 0; n < bit; n++) {
        low[bit + n] = static_cast<uint8_t>(low[n] ^ product);
        high[bit + n] = static_cast<uint8_t>(high[n] ^ product >> 8);
      }
      product = Double(product);
    }
  }
}

void Spread(uint8_t* to, const uint8_t* from, size_t size) {
  for (size_t at = 0; at < size; at += 32) {
    const uint8x16x2_t bytes = vld2q_u8(from + at);
    vst1q_u8(to + at, bytes.val[0]);
    vst1q_u8(to + at + 16, bytes.val[1]);
  }
}

void Gather(uint8_t* sum, size_t size) {
  for (size_t at = 0; at < size; at += 32) {
    const uint8x16x2_t bytes = {{vld1q_u8(sum + at), vld1q_u8(sum + at + 16)}};
    vst2q_u8(sum + at, bytes);
  }
}

void Split(uint8_t* to, const uint8_t* from, size_t size) {
  const uint8x16_t nibble = vdupq_n_u8(15);
  for (size_t at = 0; at < size; at += 16) {
    const uint8x16_t bytes = vld1q_u8(from + at);
    vst1q_u8(to + at * 2, vandq_u8(bytes, nibble));
    vst1q_u8(to + at * 2 + 16, vshrq_n_u8(bytes, 4));
  }
}

void Add(uint8_t* sum, const uint8_t* factor, uint16_t number, size_t size) {
  NibbleTables tables;
  Tabulate(&tables, number);
  // One by one: the compiler unrolls no loop over them
  const uint8x16_t low0 = vld1q_u8(tables.low[0]), high0 = vld1q_u8(tables.high[0]);
  const uint8x16_t low1 = vld1q_u8(tables.low[1]), high1 = vld1q_u8(tables.high[1]);
  const uint8x16_t low2 = vld1q_u8(tables.low[2]), high2 = vld1q_u8(tables.high[2]);
  const uint8x16_t low3 = vld1q_u8(tables.low[3]), high3 = vld1q_u8(tables.high[3]);
  for (size_t at = 0; at < size; at += 32) {
    const uint8_t* const nibbles = factor + at * 2;
    const uint8x16_t n0 = vld1q_u8(nibbles);
    const uint8x16_t n1 = vld1q_u8(nibbles + 16);
    const uint8x16_t n2 = vld1q_u8(nibbles + 32);
    const uint8x16_t n3 = vld1q_u8(nibbles + 48);
    const uint8x16_t low_product = veorq_u8(veorq_u8(vqtbl1q_u8(low0, n0), vqtbl1q_u8(low1, n1)),
                                            veorq_u8(vqtbl1q_u8(low2, n2), vqtbl1q_u8(low3, n3)));
    const uint8x16_t high_product = veorq_u8(veorq_u8(vqtbl1q_u8(high0, n0), vqtbl1q_u8(high1, n1)),
                                             veorq_u8(vqtbl1q_u8(high2, n2), vqtbl1q_u8(high3, n3)));
    vst1q_u8(sum + at, veorq_u8(vld1q_u8(sum + at), low_product));
    vst1q_u8(sum + at + 16, veorq_u8(vld1q_u8(sum + at + 16), high_product));
  }
}

}  // namespace

const Kernel* NeonKernel() {
  static constexpr Kernel kKernel = {"neon", 16, Spread, Gather, Split, Add};
  return &kKernel;
}

}  // namespace stowage::recovery

#else

namespace stowage::recovery {

const Kernel* NeonKernel() { return nullptr; }

}  // namespace stowage::recovery

#endif
