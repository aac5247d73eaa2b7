// Compresses chunks with XPRESS: LZ77 with one Huffman code. Source: [MS-XCA] 2.1.
#ifndef STOWAGE_CODECS_XPRESS_COMPRESSOR_H_
#define STOWAGE_CODECS_XPRESS_COMPRESSOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>

namespace stowage::codecs {

// Compresses one chunk at a time, on one thread at a time: it has tables of some hundred kilobytes, so it is made once
// for many chunks. The same chunk at the same level gives the same bytes on every machine.
class XpressCompressor {
 public:
  static constexpr size_t kLargestChunk = 1u << 16;

  // As libwim's: 50 is normal, lower is faster; 0 is the normal one too.
  explicit XpressCompressor(unsigned level);
  ~XpressCompressor();

  // Writes at most `room` bytes to `to`, and returns how many; 0 if that is too little. `size` is 1 to kLargestChunk.
  size_t Compress(const uint8_t* from, size_t size, uint8_t* to, size_t room);

  // How many bytes of memory one takes.
  static size_t Memory();

 private:
  struct Tables;
  const std::unique_ptr<Tables> tables_;
};

}  // namespace stowage::codecs

#endif  // STOWAGE_CODECS_XPRESS_COMPRESSOR_H_
