// Decompresses chunks of XPRESS: LZ77 with one Huffman code. Source: [MS-XCA] 2.1 and 2.2.
#ifndef STOWAGE_CODECS_XPRESS_H_
#define STOWAGE_CODECS_XPRESS_H_

#include <cstddef>
#include <cstdint>

#include "codec.h"
#include "prefix_code.h"

namespace stowage::codecs {

class Xpress : public Codec {
 public:
  bool Decompress(const uint8_t* from, size_t from_size, uint8_t* to, size_t to_size) override;

 private:
  static constexpr size_t kSymbols = 512;
  static constexpr unsigned kBits = 11;

  bool Fast(Bits* bits, const uint8_t* begin, uint8_t** out, uint8_t* end) const;
  bool Careful(Bits* bits, const uint8_t* begin, uint8_t** out, uint8_t* end) const;

  Entry table_[TableRoom(kBits, kSymbols)];
};

}  // namespace stowage::codecs

#endif  // STOWAGE_CODECS_XPRESS_H_
