#include "compressors.h"

#include <string>

#include "../base/error.h"
#include "../codecs/codec.h"
#include "library.h"

namespace stowage::wim {

void Compressors::Prepare(int type) {
  if (type == WIMLIB_COMPRESSION_TYPE_NONE || type == codecs::kXpress) return;
  try {
    StartLibrary();
  } catch (const Error& error) {
    if (error.code() != "LIBWIM_MISSING") throw;
    throw Error("LIBWIM_MISSING", std::string("LZX needs libwim, but ") + error.what());
  }
}

size_t Compressors::Compress(int type, uint32_t chunk_size, unsigned level, void* from, size_t size, void* to) {
  const auto key = std::make_tuple(type, chunk_size, level);
  auto found = made_.find(key);
  if (found == made_.end()) found = made_.emplace(key, Make(type, chunk_size, level)).first;
  const Made& made = found->second;
  return made.ours ? made.ours->Compress(static_cast<const uint8_t*>(from), size, static_cast<uint8_t*>(to), size - 1)
                   : Libwim().compress(from, size, to, size - 1, made.library.get());
}

Compressors::Made Compressors::Make(int type, uint32_t chunk_size, unsigned level) const {
  Made made;
  if (type == codecs::kXpress && whose_ != Whose::kLibrary) {
    if (chunk_size > codecs::XpressCompressor::kLargestChunk) {
      throw Error("INVALID_ARGUMENT", "XPRESS has chunks of up to " +
                                          std::to_string(codecs::XpressCompressor::kLargestChunk) + " bytes, not " +
                                          std::to_string(chunk_size));
    }
    made.ours = std::make_unique<codecs::XpressCompressor>(level);
    return made;
  }
  if (whose_ == Whose::kOurs) throw Error("UNSUPPORTED", "we have a compressor for XPRESS only");
  CheckLibrary("create a compressor", [&] {
    wimlib_compressor* compressor = nullptr;
    const int code = Libwim().create_compressor(static_cast<wimlib_compression_type>(type), chunk_size,
                                                level | WIMLIB_COMPRESSOR_FLAG_DESTRUCTIVE, &compressor);
    made.library.reset(compressor);
    return code;
  });
  return made;
}

uint64_t Compressors::Memory(int type, uint32_t chunk_size, unsigned level) {
  if (type == codecs::kXpress) {
    return chunk_size <= codecs::XpressCompressor::kLargestChunk ? codecs::XpressCompressor::Memory() : 0;
  }
  StartLibrary();
  return Libwim().get_compressor_needed_memory(static_cast<wimlib_compression_type>(type), chunk_size, level);
}

}  // namespace stowage::wim
