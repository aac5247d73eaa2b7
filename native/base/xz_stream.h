// A streaming xz compressor or decompressor (The .xz File Format, version 1.2.1) with a limit on memory.
#ifndef STOWAGE_BASE_XZ_STREAM_H_
#define STOWAGE_BASE_XZ_STREAM_H_

#include <lzma.h>

#include <cstdint>
#include <new>

#include "error.h"

namespace stowage {

class XzStream {
 public:
  enum class Mode { kCompress, kDecompress };

  // `threads` is used by the compressor only. The decompressor takes several streams in a row, as the xz command does.
  XzStream(Mode mode, uint32_t threads) {
    if (mode == Mode::kDecompress) {
      Check(lzma_stream_decoder(&stream_, kMemoryLimit, LZMA_CONCATENATED));
      return;
    }
    lzma_mt options{};
    options.threads = threads;
    options.preset = LZMA_PRESET_DEFAULT;
    options.check = LZMA_CHECK_CRC64;
    Check(lzma_stream_encoder_mt(&stream_, &options));
  }

  ~XzStream() { lzma_end(&stream_); }
  XzStream(const XzStream&) = delete;
  XzStream& operator=(const XzStream&) = delete;

  // The input and output buffers of the next call, as for lzma_code().
  lzma_stream& buffers() { return stream_; }

  // As lzma_code(); returns whether the stream has ended. With `end`, no input follows.
  bool Code(bool end) {
    const lzma_ret result = lzma_code(&stream_, end ? LZMA_FINISH : LZMA_RUN);
    if (result == LZMA_STREAM_END) return true;
    // Without the end, this only says that it needs more input
    if (result == LZMA_BUF_ERROR && !end) return false;
    Check(result);
    return false;
  }

 private:
  // Presets up to 9 need 65 MiB to decompress.
  static constexpr uint64_t kMemoryLimit = 256u << 20;

  static void Check(lzma_ret result) {
    switch (result) {
      case LZMA_OK: return;
      case LZMA_MEM_ERROR: throw std::bad_alloc();
      case LZMA_MEMLIMIT_ERROR: throw Error("XZ_ERROR", "it needs more than 256 MiB of memory to decompress");
      case LZMA_FORMAT_ERROR: throw Error("XZ_ERROR", "not an xz stream");
      case LZMA_OPTIONS_ERROR: throw Error("XZ_ERROR", "unsupported filters");
      case LZMA_BUF_ERROR: throw Error("XZ_ERROR", "unexpected end of the stream");
      default: throw Error("XZ_ERROR", "corrupt data");
    }
  }

  lzma_stream stream_ = LZMA_STREAM_INIT;
};

}  // namespace stowage

#endif  // STOWAGE_BASE_XZ_STREAM_H_
