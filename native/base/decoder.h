// Decompresses a layer as it comes: gzip (RFC 1952) and Zstandard (RFC 8878).
#ifndef STOWAGE_BASE_DECODER_H_
#define STOWAGE_BASE_DECODER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "block.h"
#include "error.h"

namespace stowage {

enum class Compression { kNone, kGzip, kZstd };

// Takes the layer piece by piece and delivers the tar in it.
class Decoder {
 public:
  // How large every block is but the last.
  static constexpr size_t kBlockSize = 256u << 10;
  // The longest magic number of a compression.
  static constexpr size_t kMarkSize = 4;

  class Sink {
   public:
    virtual ~Sink() = default;
    // Takes the block, and leaves one whose memory is filled next.
    virtual void Deliver(Block* block) = 0;
    // The error for damage at byte `offset` of the layer.
    virtual Error Damage(const std::string& why, uint64_t offset) const = 0;
    // Names the layer in errors.
    virtual const std::string& where() const = 0;
  };

  virtual ~Decoder() = default;
  // `offset`: of the piece in the layer. Throws UNSUPPORTED for a zstd window over 128 MiB.
  virtual void Add(const uint8_t* bytes, size_t size, uint64_t offset) = 0;
  // At the end, in `size` bytes.
  virtual void Finish(uint64_t size) = 0;
};

// By the first bytes of a layer: Decoder::kMarkSize of them, if it has so many.
Compression CompressionOf(const std::vector<uint8_t>& head);

// Null for kNone. The sink must outlive it.
std::unique_ptr<Decoder> DecoderFor(Compression compression, Decoder::Sink& sink);

}  // namespace stowage

#endif  // STOWAGE_BASE_DECODER_H_
