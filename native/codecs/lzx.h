// Decompresses chunks of LZX as WIMs have it. Source: [MS-PATCH] 2, and wimlib's notes on how WIMs differ: the window
// is a chunk, a block's size takes one bit if it is 32768, and calls are always translated.
#ifndef STOWAGE_CODECS_LZX_H_
#define STOWAGE_CODECS_LZX_H_

#include <cstddef>
#include <cstdint>

#include "codec.h"
#include "prefix_code.h"

namespace stowage::codecs {

class Lzx : public Codec {
 public:
  explicit Lzx(uint32_t chunk_size);

  bool Decompress(const uint8_t* from, size_t from_size, uint8_t* to, size_t to_size) override;

 private:
  static constexpr size_t kMostMain = 256 + 8 * 50;
  static constexpr size_t kLengths = 249;
  static constexpr size_t kAligned = 8;
  // Bits that the first tables look at.
  static constexpr unsigned kMainBits = 11;
  static constexpr unsigned kLengthBits = 9;
  static constexpr unsigned kAlignedBits = 7;
  // How far a run of code lengths may go over the last.
  static constexpr size_t kRunOver = 64;

  struct Output {
    uint8_t* const begin;
    uint8_t* at;
    uint8_t* const end;
  };

  bool Block(Bits* bits, Output* out);
  bool StoredBlock(Bits* bits, Output* out, size_t size);
  bool Codes(Bits* bits, bool aligned);
  // `end`: of the block.
  template <bool kAlignedOffsets>
  bool Fast(Bits* bits, Output* out, uint8_t* end);
  template <bool kAlignedOffsets>
  bool Careful(Bits* bits, Output* out, uint8_t* end);

  const bool long_sizes_;  // of blocks
  const size_t main_symbols_;

  // Of the chunk: the last three offsets, whether a byte can be a call, and the lengths of the codes, which the next
  // block's are differences from.
  uint32_t recent_[3];
  bool calls_;
  uint8_t main_lengths_[kMostMain + kRunOver];
  uint8_t length_lengths_[kLengths + kRunOver];

  Entry main_[TableRoom(kMainBits, kMostMain)];
  Entry lengths_[TableRoom(kLengthBits, kLengths)];
  Entry aligned_[1u << kAlignedBits];
};

}  // namespace stowage::codecs

#endif  // STOWAGE_CODECS_LZX_H_
