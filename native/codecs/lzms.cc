#include "lzms.h"

#include <algorithm>
#include <cstring>
#include <utility>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace stowage::codecs {

namespace {

constexpr size_t kTargets = 65536;

// The first offset or length of each slot, and how many bits follow.
template <size_t kCount>
struct Slots {
  uint32_t base[kCount];
  uint8_t extra[kCount];

  // How many slots in a row have that many bits.
  struct Run {
    uint8_t extra;
    uint8_t count;
  };

  template <size_t kRuns>
  explicit Slots(const Run (&runs)[kRuns]) {
    uint32_t at = 1;
    size_t n = 0;
    for (const Run& run : runs) {
      for (unsigned i = 0; i < run.count; i++, n++) {
        base[n] = at;
        extra[n] = run.extra;
        at += 1u << run.extra;
      }
    }
  }
};

const Slots<799> kOffset({{0, 8},   {2, 9},   {3, 7},   {4, 10},  {5, 15},   {6, 15},  {7, 20},
                          {8, 20},  {9, 30},  {10, 33}, {11, 40}, {12, 42},  {13, 45}, {14, 60},
                          {15, 73}, {16, 80}, {17, 85}, {18, 95}, {19, 105}, {20, 6},  {30, 1}});
const Slots<54> kLength(
    {{0, 26}, {1, 4}, {2, 6}, {3, 4}, {4, 5}, {5, 2}, {6, 1}, {7, 1}, {8, 1}, {9, 1}, {10, 1}, {16, 1}, {30, 1}});

struct Meanings {
  Entry number[kMostSymbols];

  Meanings() {
    for (unsigned n = 0; n < kMostSymbols; n++) number[n] = n << 8;
  }
};

const Meanings kMeanings;

// Symbols by frequency, those of the same in their own order.
void Sort(const uint16_t* frequencies, size_t symbols, uint16_t* sorted) {
  // Few are more frequent, since they add up to some thousand
  constexpr uint16_t kFrequent = 127;
  uint16_t count[kFrequent + 1] = {};
  for (size_t n = 0; n < symbols; n++) count[std::min(frequencies[n], kFrequent)]++;
  uint16_t at = 0;
  for (uint16_t& place : count) at = static_cast<uint16_t>(at + std::exchange(place, at));
  const size_t frequent = count[kFrequent];
  for (size_t n = 0; n < symbols; n++) sorted[count[std::min(frequencies[n], kFrequent)]++] = static_cast<uint16_t>(n);
  for (size_t n = frequent + 1; n < symbols; n++) {
    const uint16_t symbol = sorted[n];
    size_t place = n;
    for (; place > frequent && frequencies[sorted[place - 1]] > frequencies[symbol]; place--)
      sorted[place] = sorted[place - 1];
    sorted[place] = symbol;
  }
}

constexpr uint32_t kNone = UINT32_MAX;  // heavier than any

// Of equal frequencies, a symbol is taken before a pair, and the smaller symbol first. No code is longer than 15 bits,
// as the format has it: one of 16 takes frequencies that add up to 3570, and they are at most 2 * (1024 + symbols),
// since they are halved every 1024 symbols.
void MakeCode(const uint16_t* frequencies, size_t symbols, unsigned bits, Entry* table, size_t room) {
  if (symbols < 2) {
    std::fill_n(table, size_t{1} << bits, kMeanings.number[0] | 1);
    return;
  }
  uint16_t sorted[kMostSymbols];
  Sort(frequencies, symbols, sorted);
  // Symbols in that order, and pairs, which come in the order of their weights
  uint32_t leaves[kMostSymbols + 2];
  uint32_t weights[kMostSymbols + 2];
  uint16_t leaf_parents[kMostSymbols] = {};
  uint16_t parents[kMostSymbols] = {};
  for (size_t n = 0; n < symbols; n++) leaves[n] = frequencies[sorted[n]];
  leaves[symbols] = leaves[symbols + 1] = kNone;
  const size_t pairs = symbols - 1;
  std::fill_n(weights, symbols + 1, kNone);
  size_t leaf = 0, pair = 0;
  for (size_t n = 0; n < pairs; n++) {
    const auto parent = static_cast<uint16_t>(n);
    uint32_t weight;
    if (leaves[leaf + 1] <= weights[pair]) {
      weight = leaves[leaf] + leaves[leaf + 1];
      leaf_parents[leaf] = leaf_parents[leaf + 1] = parent;
      leaf += 2;
    } else if (weights[pair + 1] < leaves[leaf]) {
      weight = weights[pair] + weights[pair + 1];
      parents[pair] = parents[pair + 1] = parent;
      pair += 2;
    } else {
      weight = leaves[leaf] + weights[pair];
      leaf_parents[leaf++] = parent;
      parents[pair++] = parent;
    }
    weights[n] = weight;
  }
  // Neither in the order of symbols nor in that of pairs do depths grow, so the rarest symbols have the longest codes
  uint8_t depths[kMostSymbols] = {};
  depths[pairs - 1] = 1;
  for (size_t n = pairs - 1; n-- > 0;) depths[n] = static_cast<uint8_t>(depths[parents[n]] + 1);
  uint8_t lengths[kMostSymbols];
  for (size_t n = 0; n < symbols; n++) lengths[sorted[n]] = depths[leaf_parents[n]];
  (void)MakeTable(lengths, symbols, kMeanings.number, bits, table, room);
}

// The same, from which on what came before counts half.
void MakeCodeAnew(uint16_t* frequencies, size_t symbols, unsigned bits, Entry* table, size_t room) {
  MakeCode(frequencies, symbols, bits, table, room);
  for (size_t n = 0; n < symbols; n++) frequencies[n] = static_cast<uint16_t>((frequencies[n] >> 1) + 1);
}

}  // namespace

template <size_t kMost, unsigned kTableBits, unsigned kPeriod>
void Lzms::AdaptiveCode<kMost, kTableBits, kPeriod>::Reset(size_t count) {
  symbols = count;
  left = kPeriod;
  std::fill_n(frequencies, kMost, uint16_t{1});
  MakeCode(frequencies, symbols, kTableBits, table, sizeof table / sizeof *table);
}

template <size_t kMost, unsigned kTableBits, unsigned kPeriod>
void Lzms::AdaptiveCode<kMost, kTableBits, kPeriod>::MakeAnew() {
  left = kPeriod;
  MakeCodeAnew(frequencies, symbols, kTableBits, table, sizeof table / sizeof *table);
}

template <size_t kStates>
void Lzms::Decision<kStates>::Reset() {
  std::fill_n(states, kStates, State{0x55555555, 48, 48});
}

// Both ends of the input: bits of known probability from the front, and units of 16 bits from the back. What is missing
// is taken for zeros. Take() and Symbol() are those of Bits once more: as a base of both they took LZMS 10 % more time.
struct Lzms::Input {
  const uint8_t* const begin;
  const uint8_t* const end;
  const uint8_t* front;
  uint32_t range = UINT32_MAX;
  uint32_t code;
  // The next bit highest, and the end of the input before them
  const uint8_t* back;
  uint64_t held = 0;
  unsigned count = 0;

  Input(const uint8_t* from, size_t size)
      : begin(from),
        end(from + size),
        front(from + 4),
        code(static_cast<uint32_t>(Load16(from)) << 16 | Load16(from + 2)),
        back(from + size) {}

  template <size_t kStates>
  bool Decide(Decision<kStates>* decision, unsigned* before) {
    auto& state = decision->states[*before];
    if (range <= 0xffff) {
      range <<= 16;
      code <<= 16;
      if (end - front >= 2) {
        code |= Load16(front);
        front += 2;
      }
    }
    const uint32_t bound = (range >> 6) * state.probability;
    const uint32_t leaving = static_cast<uint32_t>(state.history >> 63);
    *before = (*before << 1) % static_cast<unsigned>(kStates);
    if (code < bound) {
      range = bound;
      state.zeros += leaving;
      state.probability = state.zeros - state.zeros / 64;
      state.history <<= 1;
      return false;
    }
    range -= bound;
    code -= bound;
    state.zeros += leaving - 1;
    state.probability = state.zeros + (state.zeros == 0);
    state.history = state.history << 1 | 1;
    *before |= 1;
    return true;
  }

  // Until at least 48 bits are held.
  void Fill() {
    if (back - begin >= 8) {
      const uint64_t word = Load64(back - 8);
      held |= word >> count;
      const unsigned units = (63 - count) >> 4;
      back -= size_t{2} * units;
      count += 16 * units;
      return;
    }
    while (count < 48) {
      if (back - begin >= 2) {
        back -= 2;
        held |= static_cast<uint64_t>(Load16(back)) << (48 - count);
      }
      count += 16;
    }
  }

  uint32_t Take(unsigned size) {
    const auto bits = static_cast<uint32_t>(held >> 1 >> (63 - size));
    held <<= size;
    count -= size;
    return bits;
  }

  template <size_t kMost, unsigned kTableBits, unsigned kPeriod>
  uint32_t Symbol(AdaptiveCode<kMost, kTableBits, kPeriod>* of) {
    Entry entry = of->table[held >> (64 - kTableBits)];
    if ((entry & kSecond) != 0) entry = of->table[Meaning(entry) + (held << kTableBits >> (64 - CodeBits(entry)))];
    held <<= CodeBits(entry) & 63;
    count -= CodeBits(entry);
    const uint32_t symbol = Meaning(entry);
    of->frequencies[symbol]++;
    if (--of->left == 0) of->MakeAnew();
    return symbol;
  }

  template <typename Code, size_t kCount>
  uint32_t Number(Code* of, const Slots<kCount>& slots) {
    Fill();
    const uint32_t slot = Symbol(of);
    return slots.base[slot] + Take(slots.extra[slot]);
  }
};

bool Lzms::Decompress(const uint8_t* from, size_t from_size, uint8_t* to, size_t to_size) {
  if (from_size < 4 || from_size % 2 != 0) return false;
  match_.Reset();
  delta_.Reset();
  lz_repeat_.Reset();
  delta_repeat_.Reset();
  for (auto& which : lz_which_) which.Reset();
  for (auto& which : delta_which_) which.Reset();
  const size_t slots =
      to_size < 2 ? 0
                  : static_cast<size_t>(std::upper_bound(kOffset.base, kOffset.base + kOffsetSlots, to_size - 1) -
                                        kOffset.base);
  literal_.Reset(256);
  offset_.Reset(slots);
  length_.Reset(kLengthSlots);
  power_.Reset(8);
  delta_offset_.Reset(slots);
  Input input(from, from_size);
  if (!Items(&input, to, to + to_size)) return false;
  UndoCalls(to, to_size);
  return true;
}

namespace {

// Moves place `n` to the front.
template <typename Place>
void MoveToFront(Place* recent, size_t n) {
  const Place place = recent[n];
  for (; n > 0; n--) recent[n] = recent[n - 1];
  recent[0] = place;
}

template <typename Place>
void AddToFront(Place* recent, const Place& place) {
  for (size_t n = Lzms::kRecent - 1; n > 0; n--) recent[n] = recent[n - 1];
  recent[0] = place;
}

struct DeltaPlace {
  uint32_t power;
  uint32_t offset;  // in units of 2^power bytes
};

// Each byte differs from the one 2^power before as those did that are `offset` units before them. False if that is
// outside the output.
bool CopyDelta(uint8_t* out, const uint8_t* begin, const DeltaPlace& place, size_t length) {
  const size_t span = size_t{1} << place.power;
  const uint64_t offset = static_cast<uint64_t>(place.offset) << place.power;
  if (offset + span > static_cast<uint64_t>(out - begin)) return false;
  const uint8_t* const from = out - offset;
  const uint8_t* const other = from - span;
  const uint8_t* const before = out - span;
  for (size_t n = 0; n < length; n++) out[n] = static_cast<uint8_t>(before[n] + from[n] - other[n]);
  return true;
}

}  // namespace

bool Lzms::Items(Input* shared, uint8_t* to, uint8_t* end) {
  Input input = *shared;
  // For each decision, what came before it
  unsigned before_match = 0, before_delta = 0, before_lz_repeat = 0, before_delta_repeat = 0;
  unsigned before_lz_which[2] = {}, before_delta_which[2] = {};
  uint32_t places[kRecent] = {1, 2, 3, 4};
  DeltaPlace delta_places[kRecent] = {{0, 1}, {0, 2}, {0, 3}, {0, 4}};
  // A place that the last item used is not yet among those that the next can repeat
  enum Item { kOther, kMatch, kDelta } last = kOther;
  for (uint8_t* out = to; out < end;) {
    if (!input.Decide(&match_, &before_match)) {
      input.Fill();
      *out++ = static_cast<uint8_t>(input.Symbol(&literal_));
      last = kOther;
      continue;
    }
    if (!input.Decide(&delta_, &before_delta)) {
      if (!input.Decide(&lz_repeat_, &before_lz_repeat)) {
        AddToFront(places, input.Number(&offset_, kOffset));
      } else {
        const size_t which = !input.Decide(&lz_which_[0], &before_lz_which[0])   ? 0
                             : !input.Decide(&lz_which_[1], &before_lz_which[1]) ? 1
                                                                                 : 2;
        MoveToFront(places, which + (last == kMatch));
      }
      last = kMatch;
      const size_t length = input.Number(&length_, kLength);
      const size_t offset = places[0];
      const auto room = static_cast<size_t>(end - out);
      if (length > room || offset > static_cast<size_t>(out - to)) return false;
      if (room >= length + kOverrun) {
        CopyMatchInWords(out, offset, length);
      } else {
        CopyMatch(out, offset, length);
      }
      out += length;
      continue;
    }
    if (!input.Decide(&delta_repeat_, &before_delta_repeat)) {
      input.Fill();
      const uint32_t power = input.Symbol(&power_);
      AddToFront(delta_places, {power, input.Number(&delta_offset_, kOffset)});
    } else {
      const size_t which = !input.Decide(&delta_which_[0], &before_delta_which[0])   ? 0
                           : !input.Decide(&delta_which_[1], &before_delta_which[1]) ? 1
                                                                                     : 2;
      MoveToFront(delta_places, which + (last == kDelta));
    }
    last = kDelta;
    const size_t length = input.Number(&length_, kLength);
    if (length > static_cast<size_t>(end - out) || !CopyDelta(out, to, delta_places[0], length)) return false;
    out += length;
  }
  return true;
}

namespace {

// The size of the opcode before a relative address; 0 if there is none, or minus how many bytes to pass over besides.
int OpcodeSize(const uint8_t* at) {
  switch (at[0]) {
    case 0xe8: return 1;
    case 0xe9: return -4;
    case 0xff: return at[1] == 0x15 ? 2 : 0;
    case 0xf0: return at[1] == 0x83 && at[2] == 0x05 ? 3 : 0;
    case 0x48:
    case 0x4c:
      if ((at[2] & 7) != 5) return 0;
      return at[1] == 0x8d || (at[1] == 0x8b && at[0] == 0x48 && (at[2] & 0xf0) == 0) ? 3 : 0;
    default: return 0;
  }
}

// The next place where such an opcode may be, by its first byte or two, or `end`; 16 bytes after it can be read.
inline uint8_t* FindOpcode(uint8_t* at, uint8_t* end) {
#ifdef __SSE2__
  const auto is = [](__m128i bytes, int byte) { return _mm_cmpeq_epi8(bytes, _mm_set1_epi8(static_cast<char>(byte))); };
  const auto masked = [](__m128i bytes, int mask) {
    return _mm_and_si128(bytes, _mm_set1_epi8(static_cast<char>(mask)));
  };
  for (; at < end; at += 16) {
    const __m128i first = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const __m128i second = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at + 1));
    const __m128i call = is(masked(first, 0xfe), 0xe8);
    const __m128i move = _mm_and_si128(is(masked(first, 0xfb), 0x48), is(masked(second, 0xf9), 0x89));
    const __m128i indirect = _mm_and_si128(is(first, 0xff), is(second, 0x15));
    const __m128i locked = _mm_and_si128(is(first, 0xf0), is(second, 0x83));
    const int found = _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(call, move), _mm_or_si128(indirect, locked)));
    if (found != 0) return std::min(at + __builtin_ctz(static_cast<unsigned>(found)), end);
  }
  return end;
#else
  while (at < end && (*at & 0xfb) != 0x48 && (*at & 0xfe) != 0xe8 && *at != 0xff && *at != 0xf0) at++;
  return at;
#endif
}

}  // namespace

// Addresses in what looks like x86 code were made absolute: where two calls of one target, or of one that looks like
// it, have been close together, up to some bytes after them.
void Lzms::UndoCalls(uint8_t* bytes, size_t size) {
  constexpr size_t kUntouched = 16;
  constexpr uint32_t kClose = 65535;
  constexpr ptrdiff_t kCodeAfterCall = 511;
  constexpr ptrdiff_t kCodeAfterOther = 1023;
  if (size <= kUntouched + 1) return;
  // Positions count on from chunk to chunk, so that those of earlier chunks are far away
  if (called_.empty() || size > UINT32_MAX - chunk_start_ - 2 * kClose) {
    called_.assign(kTargets, 0);
    chunk_start_ = 0;
  }
  chunk_start_ += kClose + 1;
  uint8_t* const end = bytes + size - kUntouched;
  const uint8_t* last_code = nullptr;
  for (uint8_t* at = bytes + 1; at < end;) {
    at = FindOpcode(at, end);
    if (at == end) break;
    const int opcode = OpcodeSize(at);
    if (opcode <= 0) {
      at += 1 - opcode;
      continue;
    }
    uint8_t* const place = at + opcode;
    const auto position = static_cast<uint32_t>(at - bytes);
    if (last_code != nullptr && at - last_code <= (opcode == 1 ? kCodeAfterCall : kCodeAfterOther))
      Put32(place, Load32(place) - position);
    uint32_t& called = called_[(position + Load16(place)) % kTargets];
    const uint32_t now = chunk_start_ + static_cast<uint32_t>(place + 3 - bytes);
    if (now - called <= kClose) last_code = place + 3;
    called = now;
    at = place + 4;
  }
  chunk_start_ += static_cast<uint32_t>(size);
}

}  // namespace stowage::codecs
