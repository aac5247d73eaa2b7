#include "gzip.h"

#include <new>

namespace wim {

std::vector<uint8_t> Gzip::Member(const uint8_t* data, size_t size, int level) {
  if (!compressor_ || level_ != level) {
    compressor_.reset(libdeflate_alloc_compressor(level));
    if (!compressor_) throw std::bad_alloc();
    level_ = level;
  }
  std::vector<uint8_t> member(libdeflate_gzip_compress_bound(compressor_.get(), size));
  member.resize(libdeflate_gzip_compress(compressor_.get(), data, size, member.data(), member.size()));
  return member;
}

}  // namespace wim
