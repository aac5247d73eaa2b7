// A streaming Zstandard decompressor (RFC 8878) with a limit on memory.
#ifndef STOWAGE_BASE_ZSTD_STREAM_H_
#define STOWAGE_BASE_ZSTD_STREAM_H_

#include <zstd.h>

#include <memory>
#include <new>

namespace stowage {

class ZstdStream {
 public:
  ZstdStream() : stream_(ZSTD_createDStream()) {
    if (!stream_) throw std::bad_alloc();
    ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, kWindowLog);
  }

  // As ZSTD_decompressStream(), whose result it returns: 0 at the end of a frame, or an error. Frames with a window
  // over 128 MiB, the limit of the zstd command, are an error.
  size_t Decompress(ZSTD_outBuffer* out, ZSTD_inBuffer* in) { return ZSTD_decompressStream(stream_.get(), out, in); }

 private:
  static constexpr int kWindowLog = 27;

  struct Deleter {
    void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
  };

  std::unique_ptr<ZSTD_DStream, Deleter> stream_;
};

}  // namespace stowage

#endif  // STOWAGE_BASE_ZSTD_STREAM_H_
