#include "inflate.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

// Shifts by a number of bits are what decoding waits for, and BMI2 has faster ones.
#if defined(__x86_64__) && defined(__GNUC__)
#define STOWAGE_INLINE __attribute__((always_inline)) inline
#define STOWAGE_BMI2 __attribute__((target("bmi2")))
#else
#define STOWAGE_INLINE inline
#define STOWAGE_BMI2
#endif

namespace stowage {

namespace {

#if defined(__x86_64__) && defined(__GNUC__)
const bool kBmi2 = __builtin_cpu_supports("bmi2") != 0;
#else
constexpr bool kBmi2 = false;
#endif

using Entry = uint32_t;

// Of an entry: bits 0 to 7 are the number of bits of the code with the extra bits after it, 8 to 12 those of the code
// alone, 13 to 15 its kind, and 16 to 31 its value. With kSecond, bits 8 to 12 are the number of bits that the place in
// the second table depends on, and the value is where that table begins.
constexpr Entry kLiteral = 1u << 15;
// Neither a literal nor a base: one of the next three. The value tells the last two apart.
constexpr Entry kOther = 1u << 14;
constexpr Entry kSecond = 1u << 13;
constexpr Entry kEndOfBlock = kOther | 1u << 16;
constexpr Entry kNoCode = kOther;
// One more bit of the code.
constexpr Entry kCodeBit = 1u << 8 | 1;
// In place of an entry that needs more bits than there are: it has more of them than can be left.
constexpr Entry kNotThere = 63;

constexpr unsigned kMaxBits = 15;
constexpr size_t kSymbols = 288;
constexpr size_t kLongestMatch = 258;
// A match is copied in words, which may reach this far over its end.
constexpr size_t kOverrun = 32;

// An entry has at most 28 bits: a shift by so many needs no mask of its own.
unsigned AllBits(Entry entry) { return entry & 63; }
unsigned CodeBits(Entry entry) { return entry >> 8 & 0x1f; }
uint32_t Value(Entry entry) { return entry >> 16; }
uint64_t Lowest(uint64_t word, unsigned bits) { return word & ((uint64_t{1} << bits) - 1); }
// What a base stands for; `word` begins with its code.
uint32_t Number(Entry entry, uint64_t word) {
  return Value(entry) + static_cast<uint32_t>(Lowest(word, AllBits(entry)) >> CodeBits(entry));
}

// RFC 1951, 3.2.5.
constexpr uint16_t kLengthBase[29] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                      31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
constexpr uint8_t kLengthExtra[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                      2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
constexpr uint16_t kDistanceBase[30] = {1,    2,    3,    4,    5,    7,    9,    13,    17,    25,
                                        33,   49,   65,   97,   129,  193,  257,  385,   513,   769,
                                        1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
// RFC 1951, 3.2.7: the order in which the lengths of the code of code lengths come.
constexpr uint8_t kOrder[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};

// What a symbol stands for; the length of its code is added.
struct Meanings {
  Entry length[kSymbols];
  Entry distance[32];
  Entry code_length[19];

  Meanings() {
    for (size_t n = 0; n < 256; n++) length[n] = kLiteral | static_cast<Entry>(n) << 16;
    length[256] = kEndOfBlock;
    for (size_t n = 257; n < kSymbols; n++)
      length[n] = n < 286 ? static_cast<Entry>(kLengthBase[n - 257]) << 16 | kLengthExtra[n - 257] : kNoCode;
    for (unsigned n = 0; n < 32; n++)
      distance[n] = n < 30 ? static_cast<Entry>(kDistanceBase[n]) << 16 | (n < 2 ? 0 : n / 2 - 1) : kNoCode;
    for (size_t n = 0; n < 19; n++) code_length[n] = static_cast<Entry>(n) << 16;
  }
};

const Meanings kMeanings;

uint32_t Reversed(uint32_t code, unsigned bits) {
  uint32_t reversed = 0;
  for (unsigned n = 0; n < bits; n++) reversed |= (code >> n & 1) << (bits - 1 - n);
  return reversed;
}

// Fills `table` so that the next `bits` bits of the input lead to an entry, or to a second table for longer codes. RFC
// 1951, 3.2.2. Which sets of lengths are no code, and are yet allowed, is as in zlib.
void MakeTable(const uint8_t* lengths, size_t symbols, const Entry* meanings, bool lone, unsigned bits, Entry* table,
               size_t room, const char* invalid) {
  uint16_t count[kMaxBits + 1] = {};
  for (size_t n = 0; n < symbols; n++) count[lengths[n]]++;
  count[0] = 0;
  unsigned longest = kMaxBits;
  while (longest > 0 && count[longest] == 0) longest--;
  int left = 1;
  for (unsigned length = 1; length <= kMaxBits; length++) {
    left = 2 * left - count[length];
    if (left < 0) throw std::runtime_error(invalid);
  }
  // A code of one symbol has one bit, and there may be none at all
  if (left > 0 && longest > 0 && (!lone || longest != 1)) throw std::runtime_error(invalid);
  if (left > 0) std::fill_n(table, size_t{1} << bits, kNoCode + kCodeBit);

  uint16_t next[kMaxBits + 2];
  uint16_t sorted[kSymbols];
  uint16_t at = 0;
  for (unsigned length = 1; length <= kMaxBits; length++) {
    next[length] = at;
    at = static_cast<uint16_t>(at + count[length]);
  }
  for (size_t n = 0; n < symbols; n++)
    if (lengths[n] != 0) sorted[next[lengths[n]]++] = static_cast<uint16_t>(n);

  uint32_t code = 0;
  size_t used = size_t{1} << bits;
  uint32_t second_start = ~0u;  // the first bits of the codes in the second table
  size_t second = 0;
  unsigned second_bits = 0;
  size_t index = 0;
  for (unsigned length = 1; length <= longest; length++, code <<= 1) {
    for (unsigned n = 0; n < count[length]; n++, code++, index++) {
      const Entry meaning = meanings[sorted[index]];
      const uint32_t reversed = Reversed(code, length);
      if (length <= bits) {
        for (size_t place = reversed; place < size_t{1} << bits; place += size_t{1} << length)
          table[place] = meaning + length * kCodeBit;
        continue;
      }
      const uint32_t start = reversed & ((1u << bits) - 1);
      if (start != second_start) {
        second_start = start;
        second = used;
        // As many bits as the codes need that begin so
        second_bits = length - bits;
        int open = (1 << second_bits) - (static_cast<int>(count[length]) - static_cast<int>(n));
        while (open > 0 && second_bits + bits < longest) {
          second_bits++;
          open = 2 * open - count[second_bits + bits];
        }
        used += size_t{1} << second_bits;
        if (used > room) throw std::runtime_error(invalid);
        table[start] = static_cast<Entry>(second) << 16 | kOther | kSecond | second_bits << 8 | bits;
      }
      for (size_t place = reversed >> bits; place < size_t{1} << second_bits; place += size_t{1} << (length - bits))
        table[second + place] = meaning + (length - bits) * kCodeBit;
    }
  }
}

}  // namespace

// Until at least 56 bits are held; 8 bytes must be left.
inline void Inflate::Bits::Fill() {
  uint64_t word;
  std::memcpy(&word, in, sizeof word);
  held |= word << count;
  in += (63 - count) >> 3;
  count |= 56;
}

inline void Inflate::Bits::FillByByte() {
  while (count <= 56 && in < end) {
    held |= static_cast<uint64_t>(*in++) << count;
    count += 8;
  }
}

inline void Inflate::Bits::GiveBack() {
  in -= count / 8;
  count %= 8;
  held &= (1u << count) - 1;
}

inline void Inflate::Bits::Drop(unsigned size) {
  held >>= size;
  count -= size;
}

inline uint32_t Inflate::Bits::Take(unsigned size) {
  const auto bits = static_cast<uint32_t>(Lowest(held, size));
  Drop(size);
  return bits;
}

Inflate::Inflate(size_t block_size)
    : block_size_(block_size), memory_(kWindow + block_size + kLongestMatch + kOverrun) {
  reach_ = start_ = out_ = memory_.data();
  full_ = start_ + block_size_;
}

void Inflate::Reset() {
  reach_ = out_;
  state_ = State::kHead;
  last_ = false;
  held_ = 0;
  count_ = 0;
}

void Inflate::Take(Block* block) {
  uint8_t* const end = std::min(out_, full_);
  // What later matches may need, and what went over the end
  const uint8_t* const kept = end - std::min(static_cast<size_t>(end - std::min(reach_, end)), kWindow);
  const auto reach = static_cast<size_t>(std::max<const uint8_t*>(reach_, kept) - kept);
  const auto window = static_cast<size_t>(end - kept);
  const auto size = static_cast<size_t>(out_ - kept);
  block->memory.resize(memory_.size());
  std::memcpy(block->memory.data(), kept, size);
  block->memory.swap(memory_);
  block->begin = static_cast<size_t>(start_ - block->memory.data());
  block->end = static_cast<size_t>(end - block->memory.data());
  reach_ = memory_.data() + reach;
  start_ = memory_.data() + window;
  out_ = memory_.data() + size;
  full_ = start_ + block_size_;
}

Inflate::Status Inflate::Run(const uint8_t** in, const uint8_t* end) {
  Bits bits{*in, end, held_, count_};
  Status status = Status::kInput;
  for (bool more = true; more;) {
    if (out_ >= full_) {
      status = Status::kOutput;
      break;
    }
    switch (state_) {
      case State::kHead:
        if (last_) {
          bits.GiveBack();
          bits.count = 0;
          status = Status::kEnd;
          more = false;
        } else {
          more = Head(&bits);
        }
        break;
      case State::kStored: more = Stored(&bits); break;
      case State::kSymbols:
        status = Symbols(&bits);
        more = status == Status::kEnd;  // of the block
        if (more) state_ = State::kHead;
        break;
    }
    if (more) status = Status::kInput;
  }
  bits.GiveBack();
  *in = bits.in;
  held_ = bits.held;
  count_ = bits.count;
  return status;
}

// The head of a block, which must be there as a whole: otherwise nothing of it is read.
bool Inflate::Head(Bits* bits) {
  const Bits before = *bits;
  bits->FillByByte();
  if (bits->count >= 3) {
    const bool last = bits->Take(1) != 0;
    bool whole = true;
    switch (bits->Take(2)) {
      case 0: whole = StoredHead(bits); break;
      case 1: FixedCodes(); break;
      case 2: whole = Codes(bits); break;
      default: throw std::runtime_error("invalid block type");
    }
    if (whole) {
      last_ = last;
      return true;
    }
  }
  *bits = before;
  return false;
}

bool Inflate::StoredHead(Bits* bits) {
  bits->Take(bits->count % 8);
  bits->FillByByte();
  if (bits->count < 32) return false;
  const uint32_t size = bits->Take(16);
  if ((size ^ 0xffff) != bits->Take(16)) throw std::runtime_error("invalid stored block lengths");
  bits->GiveBack();
  stored_ = size;
  state_ = State::kStored;
  return true;
}

bool Inflate::Stored(Bits* bits) {
  const size_t size = std::min({stored_, static_cast<size_t>(full_ - out_), static_cast<size_t>(bits->end - bits->in)});
  if (size > 0) std::memcpy(out_, bits->in, size);
  out_ += size;
  bits->in += size;
  stored_ -= size;
  if (stored_ == 0) state_ = State::kHead;
  return stored_ == 0 || out_ == full_;
}

// RFC 1951, 3.2.7.
bool Inflate::Codes(Bits* bits) {
  bits->FillByByte();
  if (bits->count < 14) return false;
  const size_t lengths = bits->Take(5) + 257;
  const size_t distances = bits->Take(5) + 1;
  const size_t codes = bits->Take(4) + 4;
  if (lengths > 286 || distances > 30) throw std::runtime_error("too many length or distance symbols");
  uint8_t order[19] = {};
  for (size_t n = 0; n < codes; n++) {
    bits->FillByByte();
    if (bits->count < 3) return false;
    order[kOrder[n]] = static_cast<uint8_t>(bits->Take(3));
  }
  fixed_ = false;
  constexpr unsigned kBits = 7;
  Entry table[1u << kBits];
  MakeTable(order, 19, kMeanings.code_length, false, kBits, table, 1u << kBits, "invalid code lengths set");
  if (std::all_of(order, order + 19, [](uint8_t length) { return length == 0; }))
    throw std::runtime_error("invalid code lengths set");
  if (!ReadLengths(bits, table, lengths + distances)) return false;
  if (code_lengths_[256] == 0) throw std::runtime_error("invalid code -- missing end-of-block");
  MakeTable(code_lengths_, lengths, kMeanings.length, true, kLengthBits, lengths_, kLengthEntries,
            "invalid literal/lengths set");
  MakeTable(code_lengths_ + lengths, distances, kMeanings.distance, true, kDistanceBits, distances_, kDistanceEntries,
            "invalid distances set");
  state_ = State::kSymbols;
  return true;
}

bool Inflate::ReadLengths(Bits* bits, const Entry* table, size_t count) {
  for (size_t n = 0; n < count;) {
    bits->FillByByte();
    const Entry entry = table[bits->held & 0x7f];
    const uint32_t symbol = Value(entry);
    const unsigned extra = symbol < 16 ? 0 : symbol == 16 ? 2 : symbol == 17 ? 3 : 7;
    if (AllBits(entry) + extra > bits->count) return false;
    bits->Take(AllBits(entry));
    if (symbol < 16) {
      code_lengths_[n++] = static_cast<uint8_t>(symbol);
      continue;
    }
    const size_t times = bits->Take(extra) + (symbol == 18 ? 11 : 3);
    if (n + times > count || (symbol == 16 && n == 0)) throw std::runtime_error("invalid bit length repeat");
    std::fill_n(code_lengths_ + n, times, symbol == 16 ? code_lengths_[n - 1] : uint8_t{0});
    n += times;
  }
  return true;
}

// RFC 1951, 3.2.6.
void Inflate::FixedCodes() {
  state_ = State::kSymbols;
  if (fixed_) return;
  fixed_ = true;
  uint8_t lengths[kSymbols];
  std::fill_n(lengths, 144, uint8_t{8});
  std::fill_n(lengths + 144, 112, uint8_t{9});
  std::fill_n(lengths + 256, 24, uint8_t{7});
  std::fill_n(lengths + 280, 8, uint8_t{8});
  MakeTable(lengths, kSymbols, kMeanings.length, false, kLengthBits, lengths_, kLengthEntries, "");
  std::fill_n(lengths, 32, uint8_t{5});
  MakeTable(lengths, 32, kMeanings.distance, false, kDistanceBits, distances_, kDistanceEntries, "");
}

namespace {

// Copies a match, up to kOverrun bytes over its end. It may reach back to `reach`. Most matches are no longer than what
// is copied without a look at their length.
inline uint8_t* Copy(uint8_t* out, const uint8_t* reach, size_t distance, size_t length) {
  if (distance > static_cast<size_t>(out - reach)) throw std::runtime_error("invalid distance too far back");
  const uint8_t* from = out - distance;
  uint8_t* const end = out + length;
  if (distance >= 16) {
    do {
      std::memcpy(out, from, 16);
      std::memcpy(out + 16, from + 16, 16);
      out += 32;
      from += 32;
    } while (out < end);
  } else if (distance >= 8) {
    do {
      std::memcpy(out, from, 8);
      out += 8;
      from += 8;
    } while (out < end);
  } else if (distance == 1) {
    std::memset(out, *from, length);
  } else {
    do *out++ = *from++;
    while (out < end);
  }
  return end;
}

}  // namespace

// The distance of a match; 8 bytes must be left.
STOWAGE_INLINE size_t Inflate::Distance(Bits* bits) const {
  constexpr unsigned kMost = 28;  // bits of its code and the extra ones
  if (bits->count < kMost) bits->Fill();
  Entry entry = distances_[bits->held & ((1u << kDistanceBits) - 1)];
  if ((entry & kOther) != 0) {
    if ((entry & kSecond) != 0) {
      bits->Drop(kDistanceBits);
      entry = distances_[Value(entry) + Lowest(bits->held, CodeBits(entry))];
    }
    if ((entry & kOther) != 0) throw std::runtime_error("invalid distance code");
  }
  const uint64_t word = bits->held;
  bits->Drop(AllBits(entry));
  return Number(entry, word);
}

// Decodes while there is input and room for the longest of what can come. False at the end of the block.
STOWAGE_INLINE bool Inflate::Decode(Bits* shared) {
  constexpr ptrdiff_t kMostInput = 24;  // three fills
  constexpr uint64_t kLengthMask = (1u << kLengthBits) - 1;
  if (shared->end - shared->in < kMostInput) return true;
  Bits bits = *shared;
  uint8_t* out = out_;
  const uint8_t* const reach = reach_;
  const uint8_t* const full = full_;
  // The next entry is looked up before the work of the one before is done; its bits are taken afterwards
  bits.Fill();
  Entry entry = lengths_[bits.held & kLengthMask];
  bool more = true;
  while (bits.end - bits.in >= kMostInput && out + 3 < full) {
    uint64_t word = bits.held;
    bits.Drop(AllBits(entry));
    if ((entry & kLiteral) != 0) {
      *out++ = static_cast<uint8_t>(Value(entry));
      entry = lengths_[bits.held & kLengthMask];
      word = bits.held;
      bits.Drop(AllBits(entry));
      if ((entry & kLiteral) != 0) {
        *out++ = static_cast<uint8_t>(Value(entry));
        entry = lengths_[bits.held & kLengthMask];
        word = bits.held;
        bits.Drop(AllBits(entry));
      }
    }
    if ((entry & (kOther | kSecond)) == (kOther | kSecond)) {
      entry = lengths_[Value(entry) + Lowest(bits.held, CodeBits(entry))];
      word = bits.held;
      bits.Drop(AllBits(entry));
    }
    if ((entry & kLiteral) != 0) {
      *out++ = static_cast<uint8_t>(Value(entry));
      bits.Fill();
      entry = lengths_[bits.held & kLengthMask];
      continue;
    }
    if ((entry & kOther) != 0) {
      if (Value(entry) == 0) {
        out_ = out;
        throw std::runtime_error("invalid literal/length code");
      }
      more = false;
      break;
    }
    const size_t length = Number(entry, word);
    const size_t distance = Distance(&bits);
    bits.Fill();
    entry = lengths_[bits.held & kLengthMask];
    out = Copy(out, reach, distance, length);
  }
  out_ = out;
  *shared = bits;
  return more;
}

// kEnd: of the block.
Inflate::Status Inflate::Symbols(Bits* bits) {
  while (out_ < full_) {
    if (!FastSymbols(bits)) return Status::kEnd;
    if (out_ >= full_) break;
    // One symbol near the end of the input or of the block; if it is not there as a whole, nothing of it is read
    const Bits before = *bits;
    const auto look = [bits](const Entry* table, unsigned size) {
      bits->FillByByte();
      const Entry entry = table[Lowest(bits->held, size)];
      if ((entry & (kOther | kSecond)) != (kOther | kSecond)) return entry;
      if (bits->count < size) return kNotThere;
      bits->Drop(size);
      return table[Value(entry) + Lowest(bits->held, CodeBits(entry))];
    };
    const auto whole = [bits](Entry entry) { return AllBits(entry) <= bits->count; };
    const auto take = [bits](Entry entry) {
      const uint64_t word = bits->held;
      bits->Drop(AllBits(entry));
      return Number(entry, word);
    };
    const Entry entry = look(lengths_, kLengthBits);
    if (!whole(entry)) {
      *bits = before;
      return Status::kInput;
    }
    if ((entry & (kLiteral | kOther)) != 0) bits->Drop(AllBits(entry));
    if ((entry & kLiteral) != 0) {
      *out_++ = static_cast<uint8_t>(Value(entry));
      continue;
    }
    if ((entry & kOther) != 0) {
      if (Value(entry) != 0) return Status::kEnd;
      throw std::runtime_error("invalid literal/length code");
    }
    const size_t length = take(entry);
    const Entry second = look(distances_, kDistanceBits);
    if (!whole(second)) {
      *bits = before;
      return Status::kInput;
    }
    if ((second & kOther) != 0) throw std::runtime_error("invalid distance code");
    out_ = Copy(out_, reach_, take(second), length);
  }
  return Status::kOutput;
}

bool Inflate::FastSymbols(Bits* bits) { return kBmi2 ? FastSymbolsBmi2(bits) : Decode(bits); }

STOWAGE_BMI2 bool Inflate::FastSymbolsBmi2(Bits* bits) { return Decode(bits); }

}  // namespace stowage
