// A streaming Zstandard decompressor (RFC 8878) with a limit on memory.
#ifndef STOWAGE_BASE_ZSTD_STREAM_H_
#define STOWAGE_BASE_ZSTD_STREAM_H_

#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>
#include <cstdint>
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
  // over 128 MiB, the limit of the zstd command, are an error. So are frames that do not have the size that they
  // declare, which libzstd does not compare if the last block is empty and the frame arrives in several pieces. It
  // always does, the first byte alone, so that no frame's fate depends on its pieces: in one, libzstd refuses an empty
  // compressed block, which it takes in several.
  size_t Decompress(ZSTD_outBuffer* out, ZSTD_inBuffer* in) {
    const auto* const input = static_cast<const uint8_t*>(in->src) + in->pos;
    const size_t taken = in->pos;
    const size_t made = out->pos;
    ZSTD_inBuffer next{in->src, header_size_ == 0 ? std::min(in->size, taken + 1) : in->size, taken};
    const size_t result = ZSTD_decompressStream(stream_.get(), out, &next);
    in->pos = next.pos;
    if (ZSTD_isError(result)) return result;

    const size_t kept = std::min(in->pos - taken, header_.size() - header_size_);
    std::copy(input, input + kept, header_.begin() + header_size_);
    header_size_ += kept;
    size_ += out->pos - made;
    if (result > 0) return result;

    const uint64_t declared = ZSTD_getFrameContentSize(header_.data(), header_size_);
    const bool fits = declared == ZSTD_CONTENTSIZE_UNKNOWN || declared == size_;
    header_size_ = 0;
    size_ = 0;
    return fits ? 0 : static_cast<size_t>(-static_cast<int64_t>(ZSTD_error_corruption_detected));
  }

 private:
  static constexpr int kWindowLog = 27;
  static constexpr size_t kFrameHeaderMax = 18;  // RFC 8878, 3.1.1

  struct Deleter {
    void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
  };

  std::unique_ptr<ZSTD_DStream, Deleter> stream_;
  std::array<uint8_t, kFrameHeaderMax> header_;  // the first bytes of the frame
  size_t header_size_ = 0;
  uint64_t size_ = 0;  // of what the frame has given
};

}  // namespace stowage

#endif  // STOWAGE_BASE_ZSTD_STREAM_H_
