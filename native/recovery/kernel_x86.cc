// For x86-64: a product is looked up nibble by nibble, 16 or 32 words at a time, with PSHUFB.
#include "kernel.h"

#if defined(__x86_64__) || defined(_M_X64)

#include <immintrin.h>

#include "galois.h"

#ifdef _MSC_VER
#include <intrin.h>
// This compiler takes all intrinsics in any function.
#define STOWAGE_TARGET(set)
#else
#define STOWAGE_TARGET(set) __attribute__((target(set)))
#endif

namespace stowage::recovery {

namespace {

#ifdef _MSC_VER
bool HasSsse3() {
  int info[4];
  __cpuid(info, 1);
  return (info[2] >> 9 & 1) != 0;
}

bool HasAvx2() {
  int info[4];
  __cpuid(info, 1);
  // The system saves the wide registers
  if ((info[2] >> 27 & 1) == 0 || (_xgetbv(0) & 6) != 6) return false;
  __cpuidex(info, 7, 0);
  return (info[1] >> 5 & 1) != 0;
}
#else
bool HasSsse3() { return __builtin_cpu_supports("ssse3") != 0; }
bool HasAvx2() { return __builtin_cpu_supports("avx2") != 0; }
#endif

// With SSE2, which every x86-64 has.
void Tabulate(NibbleTables* tables, uint16_t number) {
  const __m128i bit0 = _mm_setr_epi16(0, -1, 0, -1, 0, -1, 0, -1);
  const __m128i bit1 = _mm_setr_epi16(0, 0, -1, -1, 0, 0, -1, -1);
  const __m128i bit2 = _mm_setr_epi16(0, 0, 0, 0, -1, -1, -1, -1);
  const __m128i low_bytes = _mm_set1_epi16(0xff);
  uint16_t product = number;
  for (int nibble = 0; nibble < 4; nibble++) {
    __m128i products[4];
    for (__m128i& each : products) {
      each = _mm_set1_epi16(static_cast<int16_t>(product));
      product = Double(product);
    }
    // Of the values 0 to 7 and 8 to 15
    const __m128i first =
        _mm_xor_si128(_mm_and_si128(products[0], bit0),
                      _mm_xor_si128(_mm_and_si128(products[1], bit1), _mm_and_si128(products[2], bit2)));
    const __m128i second = _mm_xor_si128(first, products[3]);
    _mm_store_si128(reinterpret_cast<__m128i*>(tables->low[nibble]),
                    _mm_packus_epi16(_mm_and_si128(first, low_bytes), _mm_and_si128(second, low_bytes)));
    _mm_store_si128(reinterpret_cast<__m128i*>(tables->high[nibble]),
                    _mm_packus_epi16(_mm_srli_epi16(first, 8), _mm_srli_epi16(second, 8)));
  }
}

__m128i Load(const uint8_t* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }
void Store(uint8_t* to, __m128i value) { _mm_storeu_si128(reinterpret_cast<__m128i*>(to), value); }

void Spread16(uint8_t* to, const uint8_t* from, size_t size) {
  const __m128i low_bytes = _mm_set1_epi16(0xff);
  for (size_t at = 0; at < size; at += 32) {
    const __m128i first = Load(from + at);
    const __m128i second = Load(from + at + 16);
    Store(to + at, _mm_packus_epi16(_mm_and_si128(first, low_bytes), _mm_and_si128(second, low_bytes)));
    Store(to + at + 16, _mm_packus_epi16(_mm_srli_epi16(first, 8), _mm_srli_epi16(second, 8)));
  }
}

void Gather16(uint8_t* sum, size_t size) {
  for (size_t at = 0; at < size; at += 32) {
    const __m128i low = Load(sum + at);
    const __m128i high = Load(sum + at + 16);
    Store(sum + at, _mm_unpacklo_epi8(low, high));
    Store(sum + at + 16, _mm_unpackhi_epi8(low, high));
  }
}

void Split16(uint8_t* to, const uint8_t* from, size_t size) {
  const __m128i nibble = _mm_set1_epi8(15);
  for (size_t at = 0; at < size; at += 32) {
    for (size_t n = 0; n < 2; n++) {
      const __m128i bytes = Load(from + at + 16 * n);
      uint8_t* const nibbles = to + (at + 16 * n) * 2;
      Store(nibbles, _mm_and_si128(bytes, nibble));
      Store(nibbles + 16, _mm_and_si128(_mm_srli_epi16(bytes, 4), nibble));
    }
  }
}

STOWAGE_TARGET("ssse3")
void Add16(uint8_t* sum, const uint8_t* factor, uint16_t number, size_t size) {
  NibbleTables tables;
  Tabulate(&tables, number);
  // One by one: the compiler unrolls no loop over them
  const __m128i low0 = Load(tables.low[0]), high0 = Load(tables.high[0]);
  const __m128i low1 = Load(tables.low[1]), high1 = Load(tables.high[1]);
  const __m128i low2 = Load(tables.low[2]), high2 = Load(tables.high[2]);
  const __m128i low3 = Load(tables.low[3]), high3 = Load(tables.high[3]);
  for (size_t at = 0; at < size; at += 32) {
    const uint8_t* const nibbles = factor + at * 2;
    const __m128i n0 = Load(nibbles);
    const __m128i n1 = Load(nibbles + 16);
    const __m128i n2 = Load(nibbles + 32);
    const __m128i n3 = Load(nibbles + 48);
    const __m128i low_product = _mm_xor_si128(_mm_xor_si128(_mm_shuffle_epi8(low0, n0), _mm_shuffle_epi8(low1, n1)),
                                              _mm_xor_si128(_mm_shuffle_epi8(low2, n2), _mm_shuffle_epi8(low3, n3)));
    const __m128i high_product = _mm_xor_si128(_mm_xor_si128(_mm_shuffle_epi8(high0, n0), _mm_shuffle_epi8(high1, n1)),
                                               _mm_xor_si128(_mm_shuffle_epi8(high2, n2), _mm_shuffle_epi8(high3, n3)));
    Store(sum + at, _mm_xor_si128(Load(sum + at), low_product));
    Store(sum + at + 16, _mm_xor_si128(Load(sum + at + 16), high_product));
  }
}

STOWAGE_TARGET("avx2") __m256i LoadWide(const uint8_t* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

STOWAGE_TARGET("avx2") void StoreWide(uint8_t* to, __m256i value) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value);
}

// The same table for both halves.
STOWAGE_TARGET("avx2") __m256i Both(const uint8_t* table) { return _mm256_broadcastsi128_si256(Load(table)); }

STOWAGE_TARGET("avx2")
void Spread32(uint8_t* to, const uint8_t* from, size_t size) {
  const __m256i low_bytes = _mm256_set1_epi16(0xff);
  for (size_t at = 0; at < size; at += 64) {
    const __m256i first = LoadWide(from + at);
    const __m256i second = LoadWide(from + at + 32);
    StoreWide(to + at, _mm256_packus_epi16(_mm256_and_si256(first, low_bytes), _mm256_and_si256(second, low_bytes)));
    StoreWide(to + at + 32, _mm256_packus_epi16(_mm256_srli_epi16(first, 8), _mm256_srli_epi16(second, 8)));
  }
}

STOWAGE_TARGET("avx2")
void Gather32(uint8_t* sum, size_t size) {
  for (size_t at = 0; at < size; at += 64) {
    const __m256i low = LoadWide(sum + at);
    const __m256i high = LoadWide(sum + at + 32);
    StoreWide(sum + at, _mm256_unpacklo_epi8(low, high));
    StoreWide(sum + at + 32, _mm256_unpackhi_epi8(low, high));
  }
}

STOWAGE_TARGET("avx2")
void Split32(uint8_t* to, const uint8_t* from, size_t size) {
  const __m256i nibble = _mm256_set1_epi8(15);
  for (size_t at = 0; at < size; at += 64) {
    for (size_t n = 0; n < 2; n++) {
      const __m256i bytes = LoadWide(from + at + 32 * n);
      uint8_t* const nibbles = to + (at + 32 * n) * 2;
      StoreWide(nibbles, _mm256_and_si256(bytes, nibble));
      StoreWide(nibbles + 32, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble));
    }
  }
}

STOWAGE_TARGET("avx2")
void Add32(uint8_t* sum, const uint8_t* factor, uint16_t number, size_t size) {
  NibbleTables tables;
  Tabulate(&tables, number);
  const __m256i low0 = Both(tables.low[0]), high0 = Both(tables.high[0]);
  const __m256i low1 = Both(tables.low[1]), high1 = Both(tables.high[1]);
  const __m256i low2 = Both(tables.low[2]), high2 = Both(tables.high[2]);
  const __m256i low3 = Both(tables.low[3]), high3 = Both(tables.high[3]);
  for (size_t at = 0; at < size; at += 64) {
    const uint8_t* const nibbles = factor + at * 2;
    const __m256i n0 = LoadWide(nibbles);
    const __m256i n1 = LoadWide(nibbles + 32);
    const __m256i n2 = LoadWide(nibbles + 64);
    const __m256i n3 = LoadWide(nibbles + 96);
    const __m256i low_product =
        _mm256_xor_si256(_mm256_xor_si256(_mm256_shuffle_epi8(low0, n0), _mm256_shuffle_epi8(low1, n1)),
                         _mm256_xor_si256(_mm256_shuffle_epi8(low2, n2), _mm256_shuffle_epi8(low3, n3)));
    const __m256i high_product =
        _mm256_xor_si256(_mm256_xor_si256(_mm256_shuffle_epi8(high0, n0), _mm256_shuffle_epi8(high1, n1)),
                         _mm256_xor_si256(_mm256_shuffle_epi8(high2, n2), _mm256_shuffle_epi8(high3, n3)));
    StoreWide(sum + at, _mm256_xor_si256(LoadWide(sum + at), low_product));
    StoreWide(sum + at + 32, _mm256_xor_si256(LoadWide(sum + at + 32), high_product));
  }
}

}  // namespace

const Kernel* Ssse3Kernel() {
  static constexpr Kernel kKernel = {"ssse3", 16, Spread16, Gather16, Split16, Add16};
  return HasSsse3() ? &kKernel : nullptr;
}

const Kernel* Avx2Kernel() {
  static constexpr Kernel kKernel = {"avx2", 32, Spread32, Gather32, Split32, Add32};
  return HasAvx2() ? &kKernel : nullptr;
}

}  // namespace stowage::recovery

#else

namespace stowage::recovery {

const Kernel* Ssse3Kernel() { return nullptr; }
const Kernel* Avx2Kernel() { return nullptr; }

}  // namespace stowage::recovery

#endif
