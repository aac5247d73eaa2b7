#include "codec.h"

#include "lzms.h"
#include "lzx.h"
#include "xpress.h"

namespace stowage::codecs {

std::unique_ptr<Codec> Make(int compression, uint32_t chunk_size) {
  if (chunk_size == 0) return nullptr;
  switch (compression) {
    case kXpress: return chunk_size <= 1u << 16 ? std::make_unique<Xpress>() : nullptr;
    case kLzx: return chunk_size <= 1u << 21 ? std::make_unique<Lzx>(chunk_size) : nullptr;
    case kLzms: return chunk_size <= 1u << 30 ? std::make_unique<Lzms>() : nullptr;
    default: return nullptr;
  }
}

}  // namespace stowage::codecs
