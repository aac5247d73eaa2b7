#include "prefix_code.h"

#include <algorithm>

namespace stowage::codecs {

bool MakeTable(const uint8_t* lengths, size_t symbols, const Entry* meanings, unsigned bits, Entry* table,
               size_t room) {
  if (symbols > kMostSymbols) return false;
  uint16_t count[kMostBits + 1] = {};
  for (size_t n = 0; n < symbols; n++) {
    if (lengths[n] > kMostBits) return false;
    count[lengths[n]]++;
  }
  const size_t absent = count[0];
  if (absent == symbols) {
    std::fill_n(table, size_t{1} << bits, symbols == 0 ? Entry{0} : meanings[0]);
    return true;
  }
  int left = 1;
  unsigned longest = 0;
  uint16_t next[kMostBits + 1];
  uint16_t at = 0;
  for (unsigned length = 1; length <= kMostBits; length++) {
    left = 2 * left - count[length];
    if (left < 0) return false;
    if (count[length] != 0) longest = length;
    next[length] = at;
    at = static_cast<uint16_t>(at + count[length]);
  }
  if (left > 0) return false;
  // Those without a code go after the others, so that no branch is needed
  next[0] = at;
  uint16_t sorted[kMostSymbols];
  for (size_t n = 0; n < symbols; n++) sorted[next[lengths[n]]++] = static_cast<uint16_t>(n);

  size_t index = 0;
  Entry* place = table;
  for (unsigned length = 1; length <= std::min(bits, longest); length++) {
    const size_t times = size_t{1} << (bits - length);
    for (unsigned n = 0; n < count[length]; n++) {
      const Entry entry = meanings[sorted[index++]] | length;
      Entry* const end = place + times;
      do *place++ = entry;
      while (place < end);
    }
  }
  // Longer codes fill one second table after the other. Each is as large as its codes need.
  size_t used = size_t{1} << bits;
  unsigned length = bits + 1;
  unsigned done = 0;  // of the codes of this length
  while (index < symbols - absent) {
    while (done == count[length]) {
      length++;
      done = 0;
    }
    unsigned second_bits = length - bits;
    for (int open = (1 << second_bits) - (count[length] - static_cast<int>(done));
         open > 0 && bits + second_bits < longest;) {
      second_bits++;
      open = 2 * open - count[bits + second_bits];
    }
    const size_t size = size_t{1} << second_bits;
    if (used + size > room || place >= table + (size_t{1} << bits)) return false;
    *place++ = kSecond | static_cast<Entry>(used) << 8 | second_bits;
    for (const size_t end = used + size; used < end;) {
      while (done == count[length]) {
        length++;
        done = 0;
      }
      std::fill_n(table + used, size_t{1} << (bits + second_bits - length), meanings[sorted[index++]] | length);
      used += size_t{1} << (bits + second_bits - length);
      done++;
    }
  }
  return true;
}

}  // namespace stowage::codecs
