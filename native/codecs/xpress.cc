#include "xpress.h"

namespace stowage::codecs {

namespace {

constexpr size_t kShortestMatch = 3;
constexpr unsigned kLong = 15;  // the length follows in a byte, or in two more
constexpr unsigned kLongBytes = 255;

// Of a match, bits 0 to 3 are its length less 3, 4 to 7 the number of bits of its offset.
struct Meanings {
  Entry symbol[512];

  Meanings() {
    for (unsigned n = 0; n < 512; n++) symbol[n] = (n < 256 ? kLiteral : 0) | (n & 0xff) << 8;
  }
};

const Meanings kMeanings;

// The bytes of a length stand between the units of bits: after those that the next 16 bits are in.
size_t LongLength(Bits* bits) {
  bits->GiveBack(16);
  unsigned length = kLong;
  if (bits->in < bits->end) length += *bits->in++;
  if (length < kLong + kLongBytes) return length;
  // A length below 15 would have been shorter without; libwim takes it
  if (bits->end - bits->in < 2) return 0;
  length = Load16(bits->in);
  bits->in += 2;
  return length;
}

}  // namespace

bool Xpress::Decompress(const uint8_t* from, size_t from_size, uint8_t* to, size_t to_size) {
  if (from_size < kSymbols / 2) return false;
  uint8_t lengths[kSymbols];
  for (size_t n = 0; n < kSymbols / 2; n++) {
    lengths[2 * n] = from[n] & 15;
    lengths[2 * n + 1] = from[n] >> 4;
  }
  if (!MakeTable(lengths, kSymbols, kMeanings.symbol, kBits, table_, TableRoom(kBits, kSymbols))) return false;
  Bits bits{from + kSymbols / 2, from + from_size};
  uint8_t* out = to;
  uint8_t* const end = to + to_size;
  return Fast(&bits, to, &out, end) && Careful(&bits, to, &out, end);
}

// Decodes while there is input and room for the longest of what can come.
bool Xpress::Fast(Bits* shared, const uint8_t* begin, uint8_t** at, uint8_t* end) const {
  constexpr ptrdiff_t kMostInput = 3 * Bits::kReach;  // two fills, and the bytes of a length
  constexpr ptrdiff_t kMostOutput = 2 + kLong + kShortestMatch + kOverrun;
  Bits bits = *shared;
  uint8_t* out = *at;
  while (bits.end - bits.in >= kMostInput && end - out >= kMostOutput) {
    bits.Fill();
    Entry entry = bits.Look(table_, kBits);
    if ((entry & kLiteral) != 0) {
      bits.Drop(CodeBits(entry));
      *out++ = static_cast<uint8_t>(Meaning(entry));
      entry = bits.Look(table_, kBits);
      if ((entry & kLiteral) != 0) {
        bits.Drop(CodeBits(entry));
        *out++ = static_cast<uint8_t>(Meaning(entry));
        entry = bits.Look(table_, kBits);
        if ((entry & kLiteral) != 0) {
          bits.Drop(CodeBits(entry));
          *out++ = static_cast<uint8_t>(Meaning(entry));
          continue;
        }
      }
      bits.Fill();
    }
    bits.Drop(CodeBits(entry));
    const uint32_t meaning = Meaning(entry);
    size_t length = meaning & 15;
    if (length == kLong) {
      length = LongLength(&bits) + kShortestMatch;
      const size_t offset = (size_t{1} << (meaning >> 4)) + bits.Take(meaning >> 4);
      if (offset > static_cast<size_t>(out - begin) || length > static_cast<size_t>(end - out)) return false;
      if (static_cast<size_t>(end - out) >= length + kOverrun) {
        CopyMatchInWords(out, offset, length);
      } else {
        CopyMatch(out, offset, length);
      }
      out += length;
      continue;
    }
    length += kShortestMatch;
    const size_t offset = (size_t{1} << (meaning >> 4)) + bits.Take(meaning >> 4);
    if (offset > static_cast<size_t>(out - begin)) return false;
    CopyMatchInWords(out, offset, length);
    out += length;
  }
  bits.GiveBack(16);
  *shared = bits;
  *at = out;
  return true;
}

// Near the end of the input or of the output.
bool Xpress::Careful(Bits* bits, const uint8_t* begin, uint8_t** at, uint8_t* end) const {
  uint8_t* out = *at;
  while (out < end) {
    bits->Need(16);
    const Entry entry = bits->Look(table_, kBits);
    bits->Drop(CodeBits(entry));
    if ((entry & kLiteral) != 0) {
      *out++ = static_cast<uint8_t>(Meaning(entry));
      continue;
    }
    bits->Need(16);
    const uint32_t meaning = Meaning(entry);
    const size_t length = ((meaning & 15) == kLong ? LongLength(bits) : meaning & 15) + kShortestMatch;
    const size_t offset = (size_t{1} << (meaning >> 4)) + bits->Take(meaning >> 4);
    if (offset > static_cast<size_t>(out - begin) || length > static_cast<size_t>(end - out)) return false;
    CopyMatch(out, offset, length);
    out += length;
  }
  *at = out;
  return true;
}

}  // namespace stowage::codecs
