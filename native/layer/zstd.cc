#include "zstd.h"

#include <new>
#include <string>

#include "../base/error.h"

namespace stowage::layer {

namespace {

size_t Checked(size_t result) {
  if (ZSTD_isError(result)) throw Error("WIM_ERROR", std::string("zstd: ") + ZSTD_getErrorName(result));
  return result;
}

}  // namespace

std::vector<uint8_t> Zstd::Frame(const uint8_t* data, size_t size, int level) {
  if (!context_) {
    context_.reset(ZSTD_createCCtx());
    if (!context_) throw std::bad_alloc();
  }
  ZSTD_CCtx* const context = context_.get();
  Checked(ZSTD_CCtx_reset(context, ZSTD_reset_session_and_parameters));
  Checked(ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level));
  // By default, libzstd chooses its match finder depending on the processor's vector instructions.
  Checked(ZSTD_CCtx_setParameter(context, ZSTD_c_useRowMatchFinder, ZSTD_ps_enable));
  const size_t bound = ZSTD_compressBound(size);
  if (room_.size() < bound) room_.resize(bound);
  const size_t made = Checked(ZSTD_compress2(context, room_.data(), room_.size(), data, size));
  return std::vector<uint8_t>(room_.data(), room_.data() + made);
}

}  // namespace stowage::layer
