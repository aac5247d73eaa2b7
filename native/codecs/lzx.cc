#include "lzx.h"

#include <algorithm>
#include <cstring>

namespace stowage::codecs {

namespace {

enum BlockType : uint32_t { kVerbatim = 1, kAlignedOffset = 2, kUncompressed = 3 };

constexpr uint32_t kDefaultBlock = 32768;
constexpr size_t kSlots = 50;
constexpr size_t kShortestMatch = 2;
constexpr uint32_t kLong = 7;  // more of the length follows
constexpr size_t kLongestMatch = kShortestMatch + kLong + 248;
constexpr unsigned kPreBits = 7;
constexpr size_t kPreSymbols = 20;
constexpr uint8_t kCall = 0xe8;

// [MS-PATCH] 2.3.6.1: the first position of each slot, 2 more than the offset, and how many bits follow.
struct Slots {
  uint32_t base[kSlots];
  uint8_t extra[kSlots];

  Slots() {
    uint32_t at = 0;
    for (unsigned n = 0; n < kSlots; n++) {
      base[n] = at;
      extra[n] = static_cast<uint8_t>(n < 4 ? 0 : std::min(n / 2 - 1, 17u));
      at += 1u << extra[n];
    }
  }
};

const Slots kSlot;

// Of a match, bits 0 to 2 are its length less 2, 3 to 8 the slot of its offset.
struct Meanings {
  Entry main[656];
  Entry number[256];

  Meanings() {
    for (unsigned n = 0; n < 656; n++) main[n] = n < 256 ? kLiteral | n << 8 : (n - 256) << 8;
    for (unsigned n = 0; n < 256; n++) number[n] = n << 8;
  }
};

const Meanings kMeanings;

// [MS-PATCH] 2.3.5: the lengths of codes, as differences from those before. libwim lets a run go over the last.
bool ReadLengths(Bits* bits, uint8_t* at, size_t count) {
  uint8_t lengths[kPreSymbols];
  for (uint8_t& length : lengths) length = static_cast<uint8_t>(bits->Read(4));
  Entry table[TableRoom(kPreBits, kPreSymbols)];
  if (!MakeTable(lengths, kPreSymbols, kMeanings.number, kPreBits, table, TableRoom(kPreBits, kPreSymbols)))
    return false;
  const auto next = [bits, &table] {
    const Entry entry = bits->Look(table, kPreBits);
    bits->Drop(CodeBits(entry));
    return Meaning(entry);
  };
  const auto less = [](unsigned length, unsigned by) {
    return static_cast<uint8_t>(length >= by ? length - by : length + 17 - by);
  };
  uint8_t* const end = at + count;
  while (at < end) {
    bits->FillOrNeed(32);
    const uint32_t symbol = next();
    if (symbol < 17) {
      *at = less(*at, symbol);
      at++;
      continue;
    }
    size_t run;
    uint8_t length = 0;
    if (symbol == 17) {
      run = 4 + bits->Take(4);
    } else if (symbol == 18) {
      run = 20 + bits->Take(5);
    } else {
      run = 4 + bits->Take(1);
      bits->FillOrNeed(16);
      const uint32_t by = next();
      if (by > 17) return false;
      length = less(*at, by);
    }
    std::fill_n(at, run, length);
    at += run;
  }
  return true;
}

// [MS-PATCH] 2.3.6: the offset of a match in slot 3 or later; up to 21 bits must be held. With aligned offsets,
// `aligned` is the table of the code of their last three bits.
template <bool kAlignedOffsets>
inline uint32_t TakeOffset(Bits* bits, size_t slot, const Entry* aligned, unsigned aligned_bits) {
  const unsigned extra = kSlot.extra[slot];
  if (!kAlignedOffsets || extra < 3) return kSlot.base[slot] - 2 + bits->Take(extra);
  const uint32_t high = kSlot.base[slot] - 2 + bits->Take(extra - 3) * 8;
  const Entry low = aligned[bits->held >> (64 - aligned_bits)];
  bits->Drop(CodeBits(low));
  return high + Meaning(low);
}

// Undoes what the compressor did to the targets of x86 calls: it made them absolute, in a file of a nominal size.
void UndoCalls(uint8_t* begin, size_t size) {
  constexpr int32_t kNominalSize = 12000000;
  constexpr size_t kUntouched = 10;
  if (size <= kUntouched) return;
  const uint8_t* const end = begin + size - kUntouched;
  for (uint8_t* at = begin; at < end;) {
    at = static_cast<uint8_t*>(std::memchr(at, kCall, static_cast<size_t>(end - at)));
    if (at == nullptr) return;
    const auto place = static_cast<int32_t>(at - begin);
    const auto target = static_cast<int32_t>(Load32(at + 1));
    if (target >= -place && target < kNominalSize)
      Put32(at + 1, static_cast<uint32_t>(target >= 0 ? target - place : target + kNominalSize));
    at += 5;
  }
}

}  // namespace

// The codes of a window have two slots for each power of two, and more where slots no longer grow.
Lzx::Lzx(uint32_t chunk_size)
    : long_sizes_(chunk_size > 32768),
      main_symbols_(256 + 8 * static_cast<size_t>(
                                  std::lower_bound(kSlot.base, kSlot.base + kSlots, std::max(chunk_size, 32768u)) -
                                  kSlot.base)) {}

bool Lzx::Decompress(const uint8_t* from, size_t from_size, uint8_t* to, size_t to_size) {
  std::fill_n(recent_, 3, 1);
  calls_ = false;
  std::fill_n(main_lengths_, sizeof main_lengths_, uint8_t{0});
  std::fill_n(length_lengths_, sizeof length_lengths_, uint8_t{0});
  Bits bits{from, from + from_size};
  Output out{to, to, to + to_size};
  do {
    if (!Block(&bits, &out)) return false;
  } while (out.at < out.end);
  if (calls_) UndoCalls(to, to_size);
  return true;
}

// [MS-PATCH] 2.3.1, but for the size.
bool Lzx::Block(Bits* bits, Output* out) {
  const uint32_t type = bits->Read(3);
  uint32_t size = kDefaultBlock;
  if (bits->Read(1) == 0) {
    size = bits->Read(16);
    if (long_sizes_) size = size << 8 | bits->Read(8);
  }
  if (size == 0 || size > static_cast<size_t>(out->end - out->at)) return false;
  if (type == kUncompressed) return StoredBlock(bits, out, size);
  if (type != kVerbatim && type != kAlignedOffset) return false;
  if (!Codes(bits, type == kAlignedOffset)) return false;
  calls_ = calls_ || main_lengths_[kCall] != 0;
  uint8_t* const end = out->at + size;
  if (type == kVerbatim) return Fast<false>(bits, out, end) && Careful<false>(bits, out, end);
  return Fast<true>(bits, out, end) && Careful<true>(bits, out, end);
}

// [MS-PATCH] 2.3.1.3. What is left of the unit is dropped, or a whole one if nothing is left of the last.
bool Lzx::StoredBlock(Bits* bits, Output* out, size_t size) {
  bits->Need(1);
  bits->GiveBack(1);
  bits->Drop(bits->count);
  const auto left = static_cast<size_t>(bits->end - bits->in);
  if (left < 12 || left - 12 < size) return false;
  for (uint32_t& offset : recent_) {
    offset = Load32(bits->in);
    bits->in += 4;
    if (offset == 0) return false;
  }
  std::memcpy(out->at, bits->in, size);
  out->at += size;
  bits->in += size;
  if (size % 2 != 0 && bits->in < bits->end) bits->in++;
  calls_ = true;
  return true;
}

bool Lzx::Codes(Bits* bits, bool aligned) {
  uint8_t lengths[kAligned];
  if (aligned) {
    for (uint8_t& length : lengths) length = static_cast<uint8_t>(bits->Read(3));
    if (!MakeTable(lengths, kAligned, kMeanings.number, kAlignedBits, aligned_, 1u << kAlignedBits)) return false;
  }
  return ReadLengths(bits, main_lengths_, 256) && ReadLengths(bits, main_lengths_ + 256, main_symbols_ - 256) &&
         ReadLengths(bits, length_lengths_, kLengths) &&
         MakeTable(main_lengths_, main_symbols_, kMeanings.main, kMainBits, main_, TableRoom(kMainBits, kMostMain)) &&
         MakeTable(length_lengths_, kLengths, kMeanings.number, kLengthBits, lengths_,
                   TableRoom(kLengthBits, kLengths));
}

// Decodes while there is input and room for the longest of what can come.
template <bool kAlignedOffsets>
bool Lzx::Fast(Bits* shared, Output* output, uint8_t* end) {
  constexpr ptrdiff_t kMostInput = 2 * Bits::kReach;  // two fills
  constexpr ptrdiff_t kMostOutput = 2 + kLongestMatch + kOverrun;
  if (output->end - output->at < kMostOutput || end - output->at < 3) return true;
  const uint8_t* const limit = std::min(output->end - kMostOutput, end - 3);
  const uint8_t* const begin = output->begin;
  Bits bits = *shared;
  uint8_t* out = output->at;
  uint32_t first = recent_[0], second = recent_[1], third = recent_[2];
  while (out <= limit && bits.end - bits.in >= kMostInput) {
    bits.Fill();
    Entry entry = bits.Look(main_, kMainBits);
    bits.Drop(CodeBits(entry));
    if ((entry & kLiteral) != 0) {
      *out++ = static_cast<uint8_t>(entry >> 8);
      entry = bits.Look(main_, kMainBits);
      bits.Drop(CodeBits(entry));
      if ((entry & kLiteral) != 0) {
        *out++ = static_cast<uint8_t>(entry >> 8);
        entry = bits.Look(main_, kMainBits);
        bits.Drop(CodeBits(entry));
        if ((entry & kLiteral) != 0) {
          *out++ = static_cast<uint8_t>(entry >> 8);
          continue;
        }
      }
    }
    bits.Fill();
    const uint32_t meaning = Meaning(entry);
    size_t length = meaning % 8;
    const size_t slot = meaning / 8;
    if (length == kLong) {
      entry = bits.Look(lengths_, kLengthBits);
      bits.Drop(CodeBits(entry));
      length += Meaning(entry);
    }
    length += kShortestMatch;
    uint32_t offset;
    if (slot < 3) {
      offset = slot == 0 ? first : slot == 1 ? second : third;
      if (slot == 2) third = first;
      if (slot == 1) second = first;
    } else {
      offset = TakeOffset<kAlignedOffsets>(&bits, slot, aligned_, kAlignedBits);
      third = second;
      second = first;
    }
    first = offset;
    if (offset > static_cast<size_t>(out - begin) || length > static_cast<size_t>(end - out)) return false;
    CopyMatchInWords(out, offset, length);
    out += length;
  }
  *shared = bits;
  output->at = out;
  recent_[0] = first;
  recent_[1] = second;
  recent_[2] = third;
  return true;
}

// Near the end of the input, of the block or of the chunk.
template <bool kAlignedOffsets>
bool Lzx::Careful(Bits* bits, Output* output, uint8_t* end) {
  uint8_t* out = output->at;
  while (out < end) {
    bits->FillOrNeed(16);
    Entry entry = bits->Look(main_, kMainBits);
    bits->Drop(CodeBits(entry));
    if ((entry & kLiteral) != 0) {
      *out++ = static_cast<uint8_t>(entry >> 8);
      continue;
    }
    size_t length = Meaning(entry) % 8;
    const size_t slot = Meaning(entry) / 8;
    if (length == kLong) {
      bits->FillOrNeed(16);
      entry = bits->Look(lengths_, kLengthBits);
      bits->Drop(CodeBits(entry));
      length += Meaning(entry);
    }
    length += kShortestMatch;
    uint32_t offset;
    if (slot < 3) {
      offset = recent_[slot];
      recent_[slot] = recent_[0];
    } else {
      bits->FillOrNeed(24);
      offset = TakeOffset<kAlignedOffsets>(bits, slot, aligned_, kAlignedBits);
      recent_[2] = recent_[1];
      recent_[1] = recent_[0];
    }
    recent_[0] = offset;
    if (offset > static_cast<size_t>(out - output->begin) || length > static_cast<size_t>(end - out)) return false;
    CopyMatch(out, offset, length);
    out += length;
  }
  output->at = out;
  return true;
}

}  // namespace stowage::codecs
