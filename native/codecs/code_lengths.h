// Makes prefix (Huffman) codes for compressors: how long the code of each symbol is, and what it is.
#ifndef STOWAGE_CODECS_CODE_LENGTHS_H_
#define STOWAGE_CODECS_CODE_LENGTHS_H_

#include <cstddef>
#include <cstdint>

namespace stowage::codecs {

// The lengths of a complete code for the symbols whose frequency is not 0: the shortest code there is, or almost that
// if `most` bits, up to 16, do not suffice for it. Other symbols get 0. There must be at least two symbols that occur,
// at most 2^`most` and kMostSymbols. The same on every machine.
void MakeLengths(const uint32_t* frequencies, size_t symbols, unsigned most, uint8_t* lengths);

// The codes of these lengths: shorter codes come first, then smaller symbols.
void MakeCodes(const uint8_t* lengths, size_t symbols, uint16_t* codes);

}  // namespace stowage::codecs

#endif  // STOWAGE_CODECS_CODE_LENGTHS_H_
