// Decompresses DEFLATE (RFC 1951) as it comes, two to three times as fast as zlib.
#ifndef STOWAGE_BASE_INFLATE_H_
#define STOWAGE_BASE_INFLATE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "block.h"

namespace stowage {

class Inflate {
 public:
  // How far back a match may reach.
  static constexpr size_t kWindow = 32u << 10;

  enum class Status { kInput, kOutput, kEnd };

  // The output is made in blocks of `block_size` bytes.
  explicit Inflate(size_t block_size);

  // A new stream begins. Its output follows in the block.
  void Reset();
  // Decompresses from `*in` on, which it moves forward, until the block is full (kOutput: take it), more input is
  // needed (kInput: call again with what is left, up to kLeft bytes, followed by more), or the stream ends (kEnd: `*in`
  // is the first byte after it). Throws a std::runtime_error that says what is wrong.
  Status Run(const uint8_t** in, const uint8_t* end);
  static constexpr size_t kLeft = 512;

  // What is in the block, which is full with `block_size` bytes.
  const uint8_t* data() const { return start_; }
  size_t size() const { return static_cast<size_t>((out_ < full_ ? out_ : full_) - start_); }
  // Gives the block away, and goes on in the memory of `*block`.
  void Take(Block* block);

 private:
  enum class State { kHead, kStored, kSymbols };
  // A code's entry in a table: its kind, numbers of bits, and a literal, the base of a length or distance, or the place
  // of a second table.
  using Entry = uint32_t;
  // Sizes of the first table, by the bits that it looks at, and of all tables of the code.
  static constexpr unsigned kLengthBits = 11;
  static constexpr unsigned kDistanceBits = 9;
  static constexpr size_t kLengthEntries = (1u << kLengthBits) + 2048;
  static constexpr size_t kDistanceEntries = (1u << kDistanceBits) + 1024;

  // Bits that were read, and the input after them.
  struct Bits {
    const uint8_t* in;
    const uint8_t* end;
    uint64_t held;
    unsigned count;

    void Fill();
    void FillByByte();
    void Drop(unsigned size);
    uint32_t Take(unsigned size);
    // Whole bytes: all were taken since Run() was called.
    void GiveBack();
  };

  bool Head(Bits* bits);
  bool StoredHead(Bits* bits);
  bool Codes(Bits* bits);
  bool ReadLengths(Bits* bits, const Entry* table, size_t count);
  bool Stored(Bits* bits);
  Status Symbols(Bits* bits);
  bool FastSymbols(Bits* bits);
  bool FastSymbolsBmi2(Bits* bits);
  bool Decode(Bits* bits);
  size_t Distance(Bits* bits) const;
  void FixedCodes();

  const size_t block_size_;
  std::vector<uint8_t> memory_;
  // Within `memory_`: the first byte that matches may reach, the first of the block, the next, and the end of the
  // block.
  uint8_t* reach_;
  uint8_t* start_;
  uint8_t* out_;
  uint8_t* full_;

  State state_ = State::kHead;
  bool last_ = false;
  uint64_t held_ = 0;
  unsigned count_ = 0;
  size_t stored_ = 0;
  // Lengths of the codes of the block: literals and lengths, then distances.
  uint8_t code_lengths_[320];
  Entry lengths_[kLengthEntries];
  Entry distances_[kDistanceEntries];
  bool fixed_ = false;
};

}  // namespace stowage

#endif  // STOWAGE_BASE_INFLATE_H_
