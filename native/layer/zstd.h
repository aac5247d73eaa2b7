// Zstandard frames (RFC 8878) from libzstd. A file of frames end to end is a zstd file like any other, and frames are
// made in parallel. The output depends on the input, the level and the version of libzstd alone: not on the processor
// or on threads.
#ifndef STOWAGE_LAYER_ZSTD_H_
#define STOWAGE_LAYER_ZSTD_H_

// For the one setting that makes the output the same on every processor.
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace stowage::layer {

class Zstd {
 public:
  // Levels 1 (fast) to 19 (small). The frame says its content's size; it has no checksum, because what holds it is
  // named by its SHA-256.
  std::vector<uint8_t> Frame(const uint8_t* data, size_t size, int level);

 private:
  struct Deleter {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };
  std::unique_ptr<ZSTD_CCtx, Deleter> context_;
  // Where frames are made: what waits to be written is then as small as it can be.
  std::vector<uint8_t> room_;
};

}  // namespace stowage::layer

#endif  // STOWAGE_LAYER_ZSTD_H_
