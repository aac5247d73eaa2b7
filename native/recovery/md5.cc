#include "md5.h"

#include <cstring>

#include "../base/little_endian.h"

namespace stowage::recovery {

namespace {

constexpr size_t kChunk = 64;
constexpr size_t kLanes = Md5Lanes::kLanes;

#if defined(__GNUC__)
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"  // about functions with vectors as parameters: all of these are inlined
#endif
#define STOWAGE_INLINE inline __attribute__((always_inline))
// As wide as the processor has registers: the compiler makes of each operation as many instructions as it takes.
using Lanes = uint32_t __attribute__((vector_size(kLanes * sizeof(uint32_t))));
#else
#define STOWAGE_INLINE inline

// Where the language has no vectors.
struct Lanes {
  uint32_t lane[kLanes];

  uint32_t& operator[](size_t n) { return lane[n]; }
};

template <typename Operation>
STOWAGE_INLINE Lanes Each(const Lanes& a, const Lanes& b, Operation operation) {
  Lanes result;
  for (size_t n = 0; n < kLanes; n++) result.lane[n] = operation(a.lane[n], b.lane[n]);
  return result;
}

STOWAGE_INLINE Lanes operator+(const Lanes& a, const Lanes& b) {
  return Each(a, b, [](uint32_t x, uint32_t y) { return x + y; });
}
STOWAGE_INLINE Lanes operator+(const Lanes& a, uint32_t b) {
  return Each(a, a, [b](uint32_t x, uint32_t) { return x + b; });
}
STOWAGE_INLINE Lanes operator^(const Lanes& a, const Lanes& b) {
  return Each(a, b, [](uint32_t x, uint32_t y) { return x ^ y; });
}
STOWAGE_INLINE Lanes operator|(const Lanes& a, const Lanes& b) {
  return Each(a, b, [](uint32_t x, uint32_t y) { return x | y; });
}
STOWAGE_INLINE Lanes operator&(const Lanes& a, const Lanes& b) {
  return Each(a, b, [](uint32_t x, uint32_t y) { return x & y; });
}
STOWAGE_INLINE Lanes operator~(const Lanes& a) {
  return Each(a, a, [](uint32_t x, uint32_t) { return ~x; });
}
STOWAGE_INLINE Lanes operator<<(const Lanes& a, int by) {
  return Each(a, a, [by](uint32_t x, uint32_t) { return x << by; });
}
STOWAGE_INLINE Lanes operator>>(const Lanes& a, int by) {
  return Each(a, a, [by](uint32_t x, uint32_t) { return x >> by; });
}
#endif

// Table T of RFC 1321, section 3.4: the integer part of 2^32 * |sin(n + 1)|.
constexpr uint32_t kSines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};
constexpr int kShifts[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

template <int kRound>
STOWAGE_INLINE Lanes Mix(const Lanes& b, const Lanes& c, const Lanes& d) {
  if constexpr (kRound == 0) return d ^ (b & (c ^ d));
  if constexpr (kRound == 1) return c ^ (d & (b ^ c));
  if constexpr (kRound == 2) return b ^ c ^ d;
  return c ^ (b | ~d);
}

template <int kRound>
STOWAGE_INLINE int WordOf(int step) {
  constexpr int kFactors[] = {1, 5, 3, 7};
  constexpr int kOffsets[] = {0, 1, 5, 0};
  return (step * kFactors[kRound] + kOffsets[kRound]) % 16;
}

template <int kRound, int kStep>
STOWAGE_INLINE void Step(Lanes& a, const Lanes& b, const Lanes& c, const Lanes& d, const Lanes* words) {
  constexpr int kShift = kShifts[kRound][kStep % 4];
  const Lanes sum = a + Mix<kRound>(b, c, d) + words[WordOf<kRound>(kStep)] + kSines[kRound * 16 + kStep];
  a = b + ((sum << kShift) | (sum >> (32 - kShift)));
}

template <int kRound, int kStep>
STOWAGE_INLINE void FourSteps(Lanes& a, Lanes& b, Lanes& c, Lanes& d, const Lanes* words) {
  Step<kRound, kStep>(a, b, c, d, words);
  Step<kRound, kStep + 1>(d, a, b, c, words);
  Step<kRound, kStep + 2>(c, d, a, b, words);
  Step<kRound, kStep + 3>(b, c, d, a, words);
}

template <int kRound>
STOWAGE_INLINE void Round(Lanes& a, Lanes& b, Lanes& c, Lanes& d, const Lanes* words) {
  FourSteps<kRound, 0>(a, b, c, d, words);
  FourSteps<kRound, 4>(a, b, c, d, words);
  FourSteps<kRound, 8>(a, b, c, d, words);
  FourSteps<kRound, 12>(a, b, c, d, words);
}

// `state`: words A to D of all lanes.
STOWAGE_INLINE void Compress(Lanes* state, const uint8_t* const* pieces, size_t chunks) {
  for (size_t chunk = 0; chunk < chunks; chunk++) {
    Lanes words[16];
    for (size_t lane = 0; lane < kLanes; lane++) {
      for (size_t n = 0; n < 16; n++) words[n][lane] = Load32(pieces[lane] + chunk * kChunk + n * 4);
    }
    Lanes a = state[0];
    Lanes b = state[1];
    Lanes c = state[2];
    Lanes d = state[3];
    Round<0>(a, b, c, d, words);
    Round<1>(a, b, c, d, words);
    Round<2>(a, b, c, d, words);
    Round<3>(a, b, c, d, words);
    state[0] = state[0] + a;
    state[1] = state[1] + b;
    state[2] = state[2] + c;
    state[3] = state[3] + d;
  }
}

void CompressPlainly(Lanes* state, const uint8_t* const* pieces, size_t chunks) { Compress(state, pieces, chunks); }

#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx2"))) void CompressWidely(Lanes* state, const uint8_t* const* pieces, size_t chunks) {
  Compress(state, pieces, chunks);
}

auto* const kCompress = __builtin_cpu_supports("avx2") ? CompressWidely : CompressPlainly;
#else
auto* const kCompress = CompressPlainly;
#endif

constexpr std::array<uint32_t, 4> kStart = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};

}  // namespace

Md5Lanes::Md5Lanes() : size_(0), held_(0) {
  for (size_t word = 0; word < state_.size(); word++) state_[word].fill(kStart[word]);
}

void Md5Lanes::AddChunks(Pieces pieces, size_t chunks) {
  Lanes state[4];
  std::memcpy(static_cast<void*>(state), state_.data(), sizeof state);
  kCompress(state, pieces.data(), chunks);
  std::memcpy(state_.data(), static_cast<const void*>(state), sizeof state);
}

void Md5Lanes::Update(const Pieces& pieces, size_t size) {
  AddChunks(pieces, size / kChunk);
  held_ = size % kChunk;
  for (size_t lane = 0; lane < kLanes; lane++) std::memcpy(tails_[lane], pieces[lane] + size - held_, held_);
  size_ += size;
}

std::array<Md5Hash, Md5Lanes::kLanes> Md5Lanes::Finish() {
  // Padding: a one bit, zeros, and the size in bits
  const size_t end = held_ < kChunk - 8 ? kChunk : 2 * kChunk;
  Pieces pieces;
  for (size_t lane = 0; lane < kLanes; lane++) {
    uint8_t* const tail = tails_[lane];
    std::memset(tail + held_, 0, end - held_);
    tail[held_] = 0x80;
    for (size_t n = 0; n < 8; n++) tail[end - 8 + n] = static_cast<uint8_t>(size_ * 8 >> (8 * n));
    pieces[lane] = tail;
  }
  AddChunks(pieces, end / kChunk);

  std::array<Md5Hash, kLanes> hashes;
  for (size_t lane = 0; lane < kLanes; lane++) {
    for (size_t n = 0; n < hashes[lane].size(); n++) {
      hashes[lane][n] = static_cast<uint8_t>(state_[n / 4][lane] >> (8 * (n % 4)));
    }
  }
  *this = Md5Lanes();
  return hashes;
}

}  // namespace stowage::recovery
