// Compresses chunks: the one place that decides whose compressor does it, our own or libwim's.
#ifndef STOWAGE_WIM_COMPRESSORS_H_
#define STOWAGE_WIM_COMPRESSORS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <tuple>

#include "../codecs/xpress_compressor.h"
#include "libwim.h"

namespace stowage::wim {

// Compressors of one thread, made when first needed: they are expensive and must not be shared between threads.
class Compressors {
 public:
  // Tests compare the two; all else takes ours for XPRESS, which gives the same bytes wherever it runs, and libwim's
  // for LZX and LZMS.
  explicit Compressors(Whose whose = Whose::kEither) : whose_(whose) {}

  // For what needs libwim, throws LIBWIM_MISSING: at once, rather than at the first chunk.
  static void Prepare(int type);

  // Writes at most `size` - 1 bytes to `to`, and returns how many; 0 if the data does not get smaller, and then `from`
  // is unchanged. Otherwise `from` may be overwritten. Throws INVALID_ARGUMENT if there are no chunks of that size.
  size_t Compress(int type, uint32_t chunk_size, unsigned level, void* from, size_t size, void* to);

  // How many bytes of memory each takes; 0 if there is no such compressor.
  static uint64_t Memory(int type, uint32_t chunk_size, unsigned level);

 private:
  struct Deleter {
    void operator()(wimlib_compressor* compressor) const { Libwim().free_compressor(compressor); }
  };
  // One of the two.
  struct Made {
    std::unique_ptr<codecs::XpressCompressor> ours;
    std::unique_ptr<wimlib_compressor, Deleter> library;
  };
  Made Make(int type, uint32_t chunk_size, unsigned level) const;

  Whose whose_;
  std::map<std::tuple<int, uint32_t, unsigned>, Made> made_;
};

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_COMPRESSORS_H_
