// Gzip members (RFC 1952) from libdeflate. A sequence of members is an ordinary gzip file, and members can be made in
// parallel. The output depends on the input, the level and the version of libdeflate alone: not on the processor or on
// threads.
#ifndef STOWAGE_LAYER_GZIP_H_
#define STOWAGE_LAYER_GZIP_H_

#include <libdeflate.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace stowage::layer {

class Gzip {
 public:
  // Levels 1 (fast) to 12 (small).
  std::vector<uint8_t> Member(const uint8_t* data, size_t size, int level);

 private:
  struct Deleter {
    void operator()(libdeflate_compressor* compressor) const { libdeflate_free_compressor(compressor); }
  };
  std::unique_ptr<libdeflate_compressor, Deleter> compressor_;
  int level_ = 0;
  // Members are made here and copied, so that what waits to be written takes no more memory than needed.
  std::vector<uint8_t> room_;
};

}  // namespace stowage::layer

#endif  // STOWAGE_LAYER_GZIP_H_
