#include "prefix_code.h"

#include <algorithm>

namespace stowage::codecs {

namespace {

// The symbols of a code in the order of their codes, and how many have each length.
struct Order {
  uint16_t count[kMostBits + 1] = {};
  unsigned longest = 0;  // 0 if there is no code at all
  size_t symbols = 0;
  uint16_t sorted[kMostSymbols];

  // False if the lengths are not those of a complete code.
  bool Sort(const uint8_t* lengths, size_t all);
};

bool Order::Sort(const uint8_t* lengths, size_t all) {
  for (size_t n = 0; n < all; n++) {
    if (lengths[n] > kMostBits) return false;
    count[lengths[n]]++;
  }
  symbols = all - count[0];
  if (symbols == 0) return true;
  int left = 1;
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
  for (size_t n = 0; n < all; n++) sorted[next[lengths[n]]++] = static_cast<uint16_t>(n);
  return true;
}

}  // namespace

bool MakeTable(const uint8_t* lengths, size_t symbols, const Entry* meanings, unsigned bits, Entry* table,
               size_t room) {
  if (symbols > kMostSymbols) return false;
  Order order;
  if (!order.Sort(lengths, symbols)) return false;
  if (order.symbols == 0) {
    std::fill_n(table, size_t{1} << bits, symbols == 0 ? Entry{0} : meanings[0]);
    return true;
  }
  size_t index = 0;
  Entry* place = table;
  for (unsigned length = 1; length <= std::min(bits, order.longest); length++) {
    const size_t times = size_t{1} << (bits - length);
    for (unsigned n = 0; n < order.count[length]; n++) {
      const Entry entry = meanings[order.sorted[index++]] | length;
      Entry* const end = place + times;
      do *place++ = entry;
      while (place < end);
    }
  }
  // Longer codes fill one second table after the other. Each is as large as its codes need.
  size_t used = size_t{1} << bits;
  unsigned length = bits + 1;
  unsigned done = 0;  // of the codes of this length
  while (index < order.symbols) {
    while (done == order.count[length]) {
      length++;
      done = 0;
    }
    unsigned second_bits = length - bits;
    for (int open = (1 << second_bits) - (order.count[length] - static_cast<int>(done));
         open > 0 && bits + second_bits < order.longest;) {
      second_bits++;
      open = 2 * open - order.count[bits + second_bits];
    }
    const size_t size = size_t{1} << second_bits;
    if (used + size > room || place >= table + (size_t{1} << bits)) return false;
    *place++ = kSecond | static_cast<Entry>(used) << 8 | second_bits;
    for (const size_t end = used + size; used < end;) {
      while (done == order.count[length]) {
        length++;
        done = 0;
      }
      std::fill_n(table + used, size_t{1} << (bits + second_bits - length), meanings[order.sorted[index++]] | length);
      used += size_t{1} << (bits + second_bits - length);
      done++;
    }
  }
  return true;
}

}  // namespace stowage::codecs
