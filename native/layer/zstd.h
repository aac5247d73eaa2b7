// Zstandard frames (RFC 8878) from libzstd. A sequence of frames is an ordinary zstd file, and frames can be made in
// parallel. The output depends on the input, the level and the version of libzstd alone: not on the processor or on
// threads.
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
  // Levels 1 (fast) to 19 (small). The frame has the size of its content but no checksum, because the layer is
  // identified by its SHA-256.
  std::vector<uint8_t> Frame(const uint8_t* data, size_t size, int level);

 private:
  struct Deleter {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };
  std::unique_ptr<ZSTD_CCtx, Deleter> context_;
  // Frames are made here and copied, so that what waits to be written takes no more memory than needed.
  std::vector<uint8_t> room_;
};

}  // namespace stowage::layer

#endif  // STOWAGE_LAYER_ZSTD_H_
