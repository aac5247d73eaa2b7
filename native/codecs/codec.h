// The compressions that the chunks of a WIM have, one interface for all.
#ifndef STOWAGE_CODECS_CODEC_H_
#define STOWAGE_CODECS_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <memory>

namespace stowage::codecs {

// Decompresses one chunk at a time, on one thread at a time. It has tables of up to some hundred kilobytes, so it is
// made once for many chunks.
class Codec {
 public:
  virtual ~Codec() = default;
  // Makes exactly `to_size` bytes, at most a chunk; false if the data is damaged. What follows the last symbol is
  // ignored, and what is missing is taken for zeros, as in libwim. `to` may then hold anything.
  virtual bool Decompress(const uint8_t* from, size_t from_size, uint8_t* to, size_t to_size) = 0;
};

// As WIMs number them.
enum Compression : int { kXpress = 1, kLzx = 2, kLzms = 3 };

// Nothing if there is no such compression, or it does not have chunks of that size.
std::unique_ptr<Codec> Make(int compression, uint32_t chunk_size);

}  // namespace stowage::codecs

#endif  // STOWAGE_CODECS_CODEC_H_
