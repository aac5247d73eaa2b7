#include "gzip.h"

#include <new>

namespace stowage::layer {

std::vector<uint8_t> Gzip::Member(const uint8_t* data, size_t size, int level) {
  if (!compressor_ || level_ != level) {
    compressor_.reset(libdeflate_alloc_compressor(level));
    if (!compressor_) throw std::bad_alloc();
    level_ = level;
  }
  const size_t bound = libdeflate_gzip_compress_bound(compressor_.get(), size);
  if (room_.size() < bound) room_.resize(bound);
  const size_t made = libdeflate_gzip_compress(compressor_.get(), data, size, room_.data(), room_.size());
  return std::vector<uint8_t>(room_.data(), room_.data() + made);
}

}  // namespace stowage::layer
