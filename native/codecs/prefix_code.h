// Prefix (Huffman) codes whose bits come from the highest to the lowest, in 16-bit units, as XPRESS, LZX and LZMS have
// them: their tables, and the reader of their bits.
#ifndef STOWAGE_CODECS_PREFIX_CODE_H_
#define STOWAGE_CODECS_PREFIX_CODE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "../base/little_endian.h"

namespace stowage::codecs {

// A code's entry in a table. Bits 0 to 7 are the length of the code, 8 to 29 what it stands for, as the format's own
// table of meanings says. With kSecond, bits 0 to 7 are the number of bits that the place in a second table depends on,
// and 8 to 29 where that table begins.
using Entry = uint32_t;
constexpr Entry kLiteral = 1u << 31;
constexpr Entry kSecond = 1u << 30;

inline unsigned CodeBits(Entry entry) { return entry & 0xff; }
inline uint32_t Meaning(Entry entry) { return entry >> 8 & 0x3fffff; }

constexpr unsigned kMostBits = 16;
constexpr size_t kMostSymbols = 800;

// Fills `table`, which has `room` entries, so that the next `bits` bits of the input lead to an entry, or to a second
// table for longer codes: shorter codes come first, then smaller symbols. False if the lengths, of up to 16 bits, are
// not those of a complete code. A code without any symbol is allowed, as in libwim: it always gives the first symbol,
// and takes no bits.
bool MakeTable(const uint8_t* lengths, size_t symbols, const Entry* meanings, unsigned bits, Entry* table, size_t room);

// How many entries all tables of such a code can have: a second table for codes that are up to n bits longer has up to
// 2^n entries, and is for at least n + 1 codes.
constexpr size_t TableRoom(unsigned bits, size_t symbols, unsigned most = kMostBits) {
  const size_t more = most - bits;
  return (size_t{1} << bits) + (symbols * (size_t{1} << more) + more) / (more + 1);
}

// Bits that were read, the next one highest, and the input after them.
struct Bits {
  const uint8_t* in;
  const uint8_t* end;
  uint64_t held = 0;
  unsigned count = 0;

  // How far Fill() may read.
  static constexpr ptrdiff_t kReach = 8;

  // Until at least 48 bits are held; 8 bytes must be left. What is held besides is read again.
  void Fill() {
    uint64_t word = Load64(in);
    word = word << 32 | word >> 32;
    word = (word & 0x0000ffff0000ffff) << 16 | (word >> 16 & 0x0000ffff0000ffff);
    held |= word >> count;
    const unsigned units = (63 - count) >> 4;
    in += size_t{2} * units;
    count += 16 * units;
  }

  // Until at least `wanted` bits are held, up to 32, and no unit more than that needs. After the last unit come zeros.
  void Need(unsigned wanted) {
    while (count < wanted) {
      if (end - in >= 2) {
        held |= uint64_t{Load16(in)} << (48 - count);
        in += 2;
      }
      count += 16;
    }
  }

  // Gives back what was read after Fill(): as if Need(`wanted`) had been called instead.
  void GiveBack(unsigned wanted) {
    const unsigned units = count < wanted ? 0 : (count - wanted) >> 4;
    in -= size_t{2} * units;
    count -= 16 * units;
    held &= ~(count == 0 ? ~uint64_t{0} : ~uint64_t{0} >> count);
  }

  void Drop(unsigned size) {
    held <<= size & 63;
    count -= size;
  }

  // `size` may be 0.
  uint32_t Take(unsigned size) {
    const auto bits = static_cast<uint32_t>(held >> 1 >> (63 - size));
    Drop(size);
    return bits;
  }

  // As Need(), with what Fill() reads besides where it can.
  void FillOrNeed(unsigned wanted) {
    if (end - in >= kReach) {
      Fill();
    } else {
      Need(wanted);
    }
  }

  // `size` is at most 17.
  uint32_t Read(unsigned size) {
    Need(size);
    return Take(size);
  }

  // The entry of the next code. Its bits stay.
  Entry Look(const Entry* table, unsigned bits) const {
    Entry entry = table[held >> (64 - bits)];
    if ((entry & kSecond) != 0) entry = table[Meaning(entry) + (held << bits >> (64 - CodeBits(entry)))];
    return entry;
  }
};

// Copies a match within the output; `length` is at least 1, the caller has checked that it stays there.
inline void CopyMatch(uint8_t* out, size_t offset, size_t length) {
  const uint8_t* from = out - offset;
  if (offset >= length) {
    std::memcpy(out, from, length);
    return;
  }
  for (size_t n = 0; n < length; n++) out[n] = from[n];
}

// The same, in words, which may reach this far over its end.
constexpr size_t kOverrun = 32;
inline void CopyMatchInWords(uint8_t* out, size_t offset, size_t length) {
  const uint8_t* from = out - offset;
  const uint8_t* const end = out + length;
  if (offset >= 16) {
    // Two at a time: most matches are no longer
    do {
      std::memcpy(out, from, 16);
      std::memcpy(out + 16, from + 16, 16);
      out += 32;
      from += 32;
    } while (out < end);
  } else if (offset >= 8) {
    do {
      std::memcpy(out, from, 8);
      out += 8;
      from += 8;
    } while (out < end);
  } else if (offset == 1) {
    const uint64_t word = uint64_t{0x0101010101010101} * *from;
    do {
      std::memcpy(out, &word, 8);
      out += 8;
    } while (out < end);
  } else {
    // Once the period of the match is at least eight bytes long, words do
    const uint8_t* const begin = from;
    do {
      *out++ = *from++;
    } while (out < end && static_cast<size_t>(out - begin) < 8 + offset);
    if (out >= end) return;
    const size_t period = (8 + offset - 1) / offset * offset;
    from = out - period;
    do {
      std::memcpy(out, from, 8);
      out += 8;
      from += 8;
    } while (out < end);
  }
}

}  // namespace stowage::codecs

#endif  // STOWAGE_CODECS_PREFIX_CODE_H_
