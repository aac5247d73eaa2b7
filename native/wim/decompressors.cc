#include "decompressors.h"

#include "../base/error.h"
#include "library.h"

namespace stowage::wim {

void Decompressors::Decompress(int type, uint32_t chunk_size, const void* from, size_t from_size, void* to,
                               size_t to_size, const std::string& where) {
  auto found = made_.find({type, chunk_size});
  if (found == made_.end()) {
    found = made_.emplace(std::make_pair(type, chunk_size), Make(type, chunk_size, where)).first;
  }
  const Made& made = found->second;
  const bool whole = made.ours
                         ? to_size <= chunk_size && made.ours->Decompress(static_cast<const uint8_t*>(from), from_size,
                                                                          static_cast<uint8_t*>(to), to_size)
                         : Libwim().decompress(from, from_size, to, to_size, made.library.get()) == 0;
  if (!whole) throw Error("WIM_CORRUPT", where + ": the compressed data is damaged");
}

Decompressors::Made Decompressors::Make(int type, uint32_t chunk_size, const std::string& where) const {
  Made made;
  if (whose_ != Whose::kLibrary) {
    made.ours = codecs::Make(type, chunk_size);
    if (made.ours) return made;
    // Otherwise libwim says what is wrong
    if (whose_ == Whose::kOurs) throw Error("UNSUPPORTED", where + ": unknown compression, or chunks of another size");
  }
  CheckLibrary("create a decompressor for " + where, [&] {
    wimlib_decompressor* decompressor = nullptr;
    const int code =
        Libwim().create_decompressor(static_cast<wimlib_compression_type>(type), chunk_size, &decompressor);
    made.library.reset(decompressor);
    return code;
  });
  return made;
}

}  // namespace stowage::wim
