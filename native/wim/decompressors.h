// Decompresses chunks: the one place that decides whose decompressor does it, our own or libwim's.
#ifndef STOWAGE_WIM_DECOMPRESSORS_H_
#define STOWAGE_WIM_DECOMPRESSORS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "../codecs/codec.h"
#include "libwim.h"

namespace stowage::wim {

// Decompressors of one thread, made when first needed: they are expensive and must not be shared between threads.
class Decompressors {
 public:
  // Tests compare the two; all else takes ours, as fast as libwim's (`npm run bench -- codecs`), which is left to say
  // what is wrong with a compression or a size that ours does not know.
  explicit Decompressors(Whose whose = Whose::kEither) : whose_(whose) {}

  // `from` and `to` have exactly these sizes. Throws WIM_CORRUPT naming `where` if the data is damaged.
  void Decompress(int type, uint32_t chunk_size, const void* from, size_t from_size, void* to, size_t to_size,
                  const std::string& where);

 private:
  struct Deleter {
    void operator()(wimlib_decompressor* decompressor) const { Libwim().free_decompressor(decompressor); }
  };
  // One of the two.
  struct Made {
    std::unique_ptr<codecs::Codec> ours;
    std::unique_ptr<wimlib_decompressor, Deleter> library;
  };
  Made Make(int type, uint32_t chunk_size, const std::string& where) const;

  Whose whose_;
  std::map<std::pair<int, uint32_t>, Made> made_;
};

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_DECOMPRESSORS_H_
