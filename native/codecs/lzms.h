// Decompresses chunks of LZMS: LZ and delta matches, chosen by a range coder from the front, with Huffman codes from
// the back that adapt to what came. Source: wimlib's notes on the format; Microsoft has published none.
#ifndef STOWAGE_CODECS_LZMS_H_
#define STOWAGE_CODECS_LZMS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "codec.h"
#include "prefix_code.h"

namespace stowage::codecs {

class Lzms : public Codec {
 public:
  bool Decompress(const uint8_t* from, size_t from_size, uint8_t* to, size_t to_size) override;

  // A Huffman code that is made anew from time to time, of how often each symbol occurred.
  template <size_t kMost, unsigned kTableBits, unsigned kPeriod>
  struct AdaptiveCode {
    void Reset(size_t count);
    void MakeAnew();

    size_t symbols;
    unsigned left;  // until then
    uint16_t frequencies[kMost];
    Entry table[TableRoom(kTableBits, kMost, 15)];
  };

  // A decision, whose probability depends on those before it: on the last ones of its kind, and on what the last 64
  // with the same before them were.
  template <size_t kStates>
  struct Decision {
    struct State {
      uint64_t history;
      uint32_t zeros;
      uint32_t probability;  // of a zero, in 64ths: never 0 nor 1
    };

    void Reset();

    State states[kStates];
  };

  // Three or four places that matches came from, the last one first.
  static constexpr size_t kRecent = 4;

 private:
  struct Input;
  bool Items(Input* input, uint8_t* to, uint8_t* end);
  void UndoCalls(uint8_t* bytes, size_t size);

  Decision<16> match_;
  Decision<32> delta_;
  Decision<64> lz_repeat_;
  Decision<64> lz_which_[2];
  Decision<64> delta_repeat_;
  Decision<64> delta_which_[2];

  static constexpr size_t kOffsetSlots = 799;
  static constexpr size_t kLengthSlots = 54;

  AdaptiveCode<256, 10, 1024> literal_;
  AdaptiveCode<kOffsetSlots, 11, 1024> offset_;
  AdaptiveCode<kLengthSlots, 9, 512> length_;
  AdaptiveCode<8, 7, 512> power_;
  AdaptiveCode<kOffsetSlots, 11, 1024> delta_offset_;

  // Where each target of a call was last called, counted from the first chunk on.
  std::vector<uint32_t> called_;
  uint32_t chunk_start_ = 0;
};

}  // namespace stowage::codecs

#endif  // STOWAGE_CODECS_LZMS_H_
