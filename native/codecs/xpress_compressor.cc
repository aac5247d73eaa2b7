#include "xpress_compressor.h"

#include <algorithm>
#include <cstring>

#ifdef _MSC_VER
#include <intrin.h>
#endif

#include "../base/little_endian.h"
#include "code_lengths.h"

namespace stowage::codecs {

namespace {

constexpr unsigned kSymbols = 512;
constexpr size_t kHead = kSymbols / 2;  // the lengths of the codes
constexpr size_t kShortestMatch = 3;
constexpr unsigned kLong = 15;  // the length follows in a byte, or in two more
constexpr unsigned kLongBytes = 255;
constexpr unsigned kEnd = 256;  // also the symbol of a match: what it is, depends on whether there is output to come
constexpr unsigned kMostCodeBits = 15;

#ifdef _MSC_VER
unsigned LowestBit(uint64_t word) {
  unsigned long bit;
  _BitScanForward64(&bit, word);
  return bit;
}
unsigned HighestBit(uint32_t word) {
  unsigned long bit;
  _BitScanReverse(&bit, word);
  return bit;
}
void Prefetch(const void*) {}
#else
unsigned LowestBit(uint64_t word) { return static_cast<unsigned>(__builtin_ctzll(word)); }
unsigned HighestBit(uint32_t word) { return 31u - static_cast<unsigned>(__builtin_clz(word)); }
void Prefetch(const void* place) { __builtin_prefetch(place); }
#endif

// How hard matches are looked for.
struct Effort {
  unsigned depth;       // how many places are compared
  unsigned good;        // a match of this length is not compared with others
  unsigned good_later;  // nor one of this length with those that begin later
  unsigned later;       // how many bytes later those may begin
};

Effort EffortOf(unsigned level) {
  level = std::min(level == 0 ? 50 : level, 200u);
  Effort effort;
  effort.depth = std::max(1u, level * level / 400);
  effort.good = std::max(8u, level * 2 / 3);
  effort.good_later = level / 3;
  effort.later = level < 30 ? 0 : level < 80 ? 1 : 2;
  return effort;
}

struct Match {
  uint32_t length = 0;  // 0 if there is none
  uint32_t offset = 0;
};

// How many bytes are the same, of `most`. The first `length` are.
inline size_t Extend(const uint8_t* one, const uint8_t* other, size_t length, size_t most) {
  for (; length + 8 <= most; length += 8) {
    const uint64_t difference = Load64(one + length) ^ Load64(other + length);
    if (difference != 0) return length + LowestBit(difference) / 8;
  }
  while (length < most && one[length] == other[length]) length++;
  return length;
}

// The matches of one chunk.
class Matches {
 public:
  void Begin(const uint8_t* from, size_t size) {
    from_ = from;
    size_ = size;
    std::memset(last_three_, 0, sizeof last_three_);
    std::memset(last_, 0, sizeof last_);
  }

  // The longest match at this place that is longer than `than`, which is none or begins earlier. Places come in order,
  // here or in Skip(). A template, so that each is compiled into the one place that calls it, which saves 10 % of all
  // the time.
  template <bool kLater>
  Match Find(size_t at, const Effort& effort, unsigned depth, Match than);

  // Passes the places before `end`.
  void Skip(size_t at, size_t end) {
    for (end = std::min(end, size_ < kReach ? 0 : size_ - kReach); at < end; at++) Remember(at, Load32(from_ + at));
  }

 private:
  // What must follow a place at which a match is looked for.
  static constexpr size_t kReach = 5;
  static constexpr unsigned kBits = 15;
  static constexpr unsigned kThreeBits = 12;
  // A match of three bytes saves little, and nothing if it is far away.
  static constexpr size_t kNear = 2048;

  static uint32_t Hash(uint32_t bytes, unsigned bits) { return bytes * 0x9e3779b1u >> (32 - bits); }
  // What were there before: the place before, and the last with the same three bytes.
  struct Before {
    size_t place;
    size_t three;
  };
  Before Remember(size_t at, uint32_t bytes) {
    uint16_t* const three = &last_three_[Hash(bytes << 8, kThreeBits)];
    uint16_t* const last = &last_[Hash(bytes, kBits)];
    const Before before{*last, *three};
    before_[at] = *last;
    *last = *three = static_cast<uint16_t>(at + 1);
    return before;
  }

  const uint8_t* from_ = nullptr;
  size_t size_ = 0;
  // Places, plus 1; 0 is none. The last with these three or four bytes, and the one before each of the latter.
  uint16_t last_three_[1u << kThreeBits];
  uint16_t last_[1u << kBits];
  uint16_t before_[XpressCompressor::kLargestChunk];
};

template <bool kLater>
inline Match Matches::Find(size_t at, const Effort& effort, unsigned depth, Match than) {
  Match found;
  const size_t most = size_ - at;
  if (most < kReach) return found;
  const uint8_t* const here = from_ + at;
  const uint32_t bytes = Load32(here);
  Prefetch(&last_[Hash(Load32(here + 1), kBits)]);
  const auto [first, three] = Remember(at, bytes);
  size_t length = than.length;
  size_t place = first;
  const auto take = [&] {
    length = Extend(here, from_ + place - 1, 4, most);
    found.length = static_cast<uint32_t>(length);
    found.offset = static_cast<uint32_t>(at + 1 - place);
  };
  if (!kLater) {
    if (three != 0 && at + 1 - three <= kNear && Load32(from_ + three - 1) << 8 == bytes << 8) {
      found.length = kShortestMatch;
      found.offset = static_cast<uint32_t>(at + 1 - three);
    }
    for (;; place = before_[place - 1]) {
      if (place == 0 || depth-- == 0) return found;
      if (Load32(from_ + place - 1) == bytes) break;
    }
    take();
    place = before_[place - 1];
  }
  for (; length < effort.good && length < most; place = before_[place - 1]) {
    // Most are no longer, and differ first in the last byte that matters
    const uint32_t tail = Load32(here + length - 3);
    for (;; place = before_[place - 1]) {
      if (place == 0 || depth-- == 0) return found;
      if (Load32(from_ + place - 1 + length - 3) == tail && Load32(from_ + place - 1) == bytes) break;
    }
    take();
  }
  return found;
}

// Literals, and the match after them.
struct Sequence {
  uint16_t literals;
  uint16_t length;  // less the shortest
  uint16_t offset;
};

unsigned SymbolOf(unsigned length, unsigned offset_bits) { return kEnd + 16 * offset_bits + std::min(length, kLong); }

// Besides the symbol.
unsigned LengthBytes(unsigned length) {
  if (length < kLong) return 0;
  return length < kLong + kLongBytes ? 1 : 3;
}

// Bits from the highest to the lowest, in units of 16, and the bytes of lengths. A reader that comes to those bytes has
// read the unit that its bits are in and the next, so two places for units are kept before them.
class Writer {
 public:
  // `to` must have all the bytes up to `end`, and no more are written.
  Writer(uint8_t* to, uint8_t* end) : first_(to), second_(to + 2), next_(to + 4), end_(end) {}

  // At most 47 bits before a Flush().
  void Add(uint32_t bits, unsigned size) {
    held_ = held_ << size | bits;
    count_ += size;
  }

  // Writes full units, but not the last bits.
  void Flush() {
    if (next_ == first_ + 4 && end_ - first_ >= 8) {
      // All at once. What is too much is written over later
      const unsigned units = (count_ - 1) >> 4;
      uint64_t word = held_ << (64 - count_);
      word = word << 32 | word >> 32;
      word = (word & 0x0000ffff0000ffff) << 16 | (word >> 16 & 0x0000ffff0000ffff);
      word = FromStored(word);
      std::memcpy(first_, &word, sizeof word);
      count_ -= 16 * units;
      first_ += size_t{2} * units;
      second_ = first_ + 2;
      next_ = first_ + 4;
      return;
    }
    while (count_ > 16) {
      count_ -= 16;
      Put(held_ >> count_);
    }
  }

  void AddByte(unsigned byte) { *next_++ = static_cast<uint8_t>(byte); }

  void Finish() {
    Flush();
    Put(held_ << (16 - count_));
    Put(0);
  }

 private:
  void Put(uint64_t bits) {
    const uint16_t unit = FromStored(static_cast<uint16_t>(bits));
    std::memcpy(first_, &unit, sizeof unit);
    first_ = second_;
    second_ = next_;
    next_ += 2;
  }

  uint64_t held_ = 0;
  unsigned count_ = 0;
  uint8_t* first_;
  uint8_t* second_;
  uint8_t* next_;
  uint8_t* const end_;
};

}  // namespace

struct XpressCompressor::Tables {
  explicit Tables(unsigned level) : effort(EffortOf(level)) {}

  void FindSequences(const uint8_t* from, size_t size);
  void AddMatch(size_t literals, Match match);
  size_t CompressedSize() const;
  void Write(const uint8_t* from, size_t size, Writer writer) const;

  const Effort effort;
  Matches matches;
  Sequence sequences[kLargestChunk / kShortestMatch];
  size_t count;
  size_t length_bytes;
  uint32_t frequencies[kSymbols];
  uint8_t lengths[kSymbols];
  uint16_t codes[kSymbols];
};

XpressCompressor::XpressCompressor(unsigned level) : tables_(std::make_unique<Tables>(level)) {}

XpressCompressor::~XpressCompressor() = default;

size_t XpressCompressor::Memory() { return sizeof(Tables); }

size_t XpressCompressor::Compress(const uint8_t* from, size_t size, uint8_t* to, size_t room) {
  if (room <= kHead || size > kLargestChunk) return 0;
  Tables& made = *tables_;
  made.FindSequences(from, size);
  MakeLengths(made.frequencies, kSymbols, kMostCodeBits, made.lengths);
  const size_t compressed = made.CompressedSize();
  if (compressed > room) return 0;
  MakeCodes(made.lengths, kSymbols, made.codes);
  for (size_t n = 0; n < kHead; n++) to[n] = static_cast<uint8_t>(made.lengths[2 * n] | made.lengths[2 * n + 1] << 4);
  made.Write(from, size, Writer(to + kHead, to + compressed));
  return compressed;
}

// Without the last literals, which no match follows.
void XpressCompressor::Tables::FindSequences(const uint8_t* from, size_t size) {
  matches.Begin(from, size);
  std::fill_n(frequencies, kSymbols, 0u);
  frequencies[kEnd] = 1;
  count = 0;
  length_bytes = 0;
  // About what a match costs, in quarters of a byte: a later one also costs the literals before it
  const auto gain = [](Match match) {
    return static_cast<int>(4 * match.length) - static_cast<int>(HighestBit(match.offset));
  };
  constexpr int kLiteralCost = 2;
  size_t at = 0, begun = 0;
  while (at < size) {
    Match match = matches.Find<false>(at, effort, effort.depth, Match{});
    if (match.length == 0) {
      // Where nothing has matched for long, hardly anything will
      for (size_t step = std::min(1 + ((at - begun) >> 6), size - at); step > 0; step--) frequencies[from[at++]]++;
      continue;
    }
    size_t seen = at + 1;
    for (; match.length < effort.good_later && seen - at <= effort.later && seen < size; seen++) {
      const Match other = matches.Find<true>(seen, effort, (effort.depth + 1) / 3, match);
      if (other.length == 0 || gain(other) <= gain(match) + kLiteralCost * static_cast<int>(seen - at)) continue;
      while (at < seen) frequencies[from[at++]]++;
      match = other;
    }
    AddMatch(at - begun, match);
    matches.Skip(seen, at + match.length);
    at += match.length;
    begun = at;
  }
}

inline void XpressCompressor::Tables::AddMatch(size_t literals, Match match) {
  const auto length = static_cast<unsigned>(match.length - kShortestMatch);
  sequences[count++] = {static_cast<uint16_t>(literals), static_cast<uint16_t>(length),
                        static_cast<uint16_t>(match.offset)};
  frequencies[SymbolOf(length, HighestBit(match.offset))]++;
  length_bytes += LengthBytes(length);
}

size_t XpressCompressor::Tables::CompressedSize() const {
  size_t bits = 0;
  for (unsigned n = 0; n < kSymbols; n++)
    bits += size_t{frequencies[n]} * (lengths[n] + (n < kEnd ? 0u : (n - kEnd) >> 4));
  // The last unit that has bits, and one more, because readers read it
  return kHead + (bits + 15) / 16 * 2 + 2 + length_bytes;
}

void XpressCompressor::Tables::Write(const uint8_t* from, size_t size, Writer writer) const {
  const auto write_literals = [&](size_t literals) {
    const auto literal = [&] {
      writer.Add(codes[*from], lengths[*from]);
      from++;
    };
    for (; literals >= 3; literals -= 3) {
      literal();
      literal();
      literal();
      writer.Flush();
    }
    if (literals == 0) return;
    literal();
    if (literals == 2) literal();
    writer.Flush();
  };
  const uint8_t* const end = from + size;
  for (size_t n = 0; n < count; n++) {
    const Sequence& sequence = sequences[n];
    write_literals(sequence.literals);
    const unsigned length = sequence.length;
    const unsigned offset_bits = HighestBit(sequence.offset);
    const unsigned symbol = SymbolOf(length, offset_bits);
    writer.Add(codes[symbol], lengths[symbol]);
    if (length >= kLong) {
      writer.Flush();
      if (length < kLong + kLongBytes) {
        writer.AddByte(length - kLong);
      } else {
        writer.AddByte(kLongBytes);
        writer.AddByte(length & 0xff);
        writer.AddByte(length >> 8);
      }
    }
    writer.Add(sequence.offset ^ 1u << offset_bits, offset_bits);
    writer.Flush();
    from += length + kShortestMatch;
  }
  write_literals(static_cast<size_t>(end - from));
  writer.Add(codes[kEnd], lengths[kEnd]);
  writer.Finish();
}

}  // namespace stowage::codecs
