#include "decoder.h"

#include <libdeflate.h>
#define ZLIB_CONST
#include <zlib.h>
#include <zstd_errors.h>

#include <new>
#include <utility>

#include "error.h"
#include "zstd_stream.h"

namespace stowage {

namespace {

constexpr size_t kBlockSize = Decoder::kBlockSize;
// The largest gzip member that is decompressed at once, decompressed and compressed: that of LayerStream.
constexpr size_t kMemberSize = 1u << 20;
constexpr size_t kMemberBound = kMemberSize + (64u << 10);

// Members that are small enough go through libdeflate, which is twice as fast as zlib but wants them whole; from the
// first that is not, it is zlib.
class Gzip : public Decoder {
 public:
  explicit Gzip(Sink& sink) : sink_(sink), decompressor_(libdeflate_alloc_decompressor()) {
    if (!decompressor_) throw std::bad_alloc();
    // 16: gzip, and nothing else.
    if (inflateInit2(&stream_, 16 + MAX_WBITS) != Z_OK) throw std::bad_alloc();
  }
  ~Gzip() override { inflateEnd(&stream_); }

  void Add(std::vector<uint8_t>& piece, uint64_t offset) override {
    if (!whole_members_) {
      Stream(piece, offset);
      return;
    }
    held_.insert(held_.end(), piece.begin(), piece.end());
    size_t taken = 0;
    while (whole_members_ && held_.size() - taken >= kMemberBound) TakeMember(&taken);
    Release(taken, offset + piece.size());
  }

  void Finish(uint64_t size) override {
    size_t taken = 0;
    while (whole_members_ && taken < held_.size()) TakeMember(&taken);
    Release(taken, size);
    if (member_) throw sink_.Damage("it ends within a gzip member", size);
    sink_.Deliver(&block_);
  }

 private:
  struct Deleter {
    void operator()(libdeflate_decompressor* decompressor) const { libdeflate_free_decompressor(decompressor); }
  };

  // Decompresses the member at `*taken` of what is held, or leaves it and all that follows to zlib.
  void TakeMember(size_t* taken) {
    size_t in = 0;
    size_t out = 0;
    block_.resize(kMemberSize);
    whole_members_ = libdeflate_gzip_decompress_ex(decompressor_.get(), held_.data() + *taken, held_.size() - *taken,
                                                   block_.data(), block_.size(), &in, &out) == LIBDEFLATE_SUCCESS;
    block_.resize(whole_members_ ? out : 0);
    sink_.Deliver(&block_);
    *taken += in;
  }

  // Drops what was taken from `held_`. `end` is the offset in the layer of the end of what is held.
  void Release(size_t taken, uint64_t end) {
    held_.erase(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(taken));
    if (whole_members_) return;
    Stream(held_, end - held_.size());
    held_ = {};
  }

  void Stream(const std::vector<uint8_t>& piece, uint64_t offset) {
    stream_.next_in = piece.data();
    stream_.avail_in = static_cast<uInt>(piece.size());
    while (stream_.avail_in > 0) {
      if (!member_) {
        if (!Begin(offset + piece.size() - stream_.avail_in)) continue;
      }
      Inflate(offset + piece.size());
    }
  }

  // Between two members; the last may be followed by zeros. True if a member begins.
  bool Begin(uint64_t offset) {
    const uint8_t byte = *stream_.next_in;
    if (byte == 0) {
      padding_ = true;
      stream_.next_in++;
      stream_.avail_in--;
      return false;
    }
    if (byte != 0x1f || padding_) throw sink_.Damage("what follows a gzip member is not one", offset);
    member_ = true;
    inflateReset(&stream_);
    return true;
  }

  void Inflate(uint64_t end) {
    do {
      const size_t filled = block_.size();
      block_.resize(kBlockSize);
      stream_.next_out = block_.data() + filled;
      stream_.avail_out = static_cast<uInt>(kBlockSize - filled);
      const int result = inflate(&stream_, Z_NO_FLUSH);
      block_.resize(kBlockSize - stream_.avail_out);
      if (stream_.avail_out == 0) sink_.Deliver(&block_);
      if (result == Z_STREAM_END) {
        member_ = false;
        return;
      }
      if (result == Z_MEM_ERROR) throw std::bad_alloc();
      // Z_BUF_ERROR: it needs more input, which comes with the next piece.
      if (result == Z_BUF_ERROR) return;
      if (result != Z_OK) {
        const char* why = stream_.msg == nullptr ? "it is not gzip" : stream_.msg;
        throw sink_.Damage(std::string("gzip: ") + why, end - stream_.avail_in);
      }
    } while (stream_.avail_in > 0 || block_.empty());
  }

  Sink& sink_;
  const std::unique_ptr<libdeflate_decompressor, Deleter> decompressor_;
  bool whole_members_ = true;
  // Of the layer, not yet decompressed.
  std::vector<uint8_t> held_;
  z_stream stream_{};
  std::vector<uint8_t> block_;
  bool member_ = false;
  bool padding_ = false;
};

class Zstd : public Decoder {
 public:
  explicit Zstd(Sink& sink) : sink_(sink) {}

  void Add(std::vector<uint8_t>& piece, uint64_t offset) override {
    ZSTD_inBuffer in{piece.data(), piece.size(), 0};
    bool full = false;
    // If a block is full, the stream may hold more output.
    while (in.pos < in.size || full) {
      const size_t filled = block_.size();
      block_.resize(kBlockSize);
      ZSTD_outBuffer out{block_.data(), block_.size(), filled};
      const size_t result = stream_.Decompress(&out, &in);
      block_.resize(out.pos);
      if (ZSTD_isError(result)) Fail(result, offset + in.pos);
      frame_ = result != 0;
      full = out.pos == kBlockSize && frame_;
      if (out.pos == kBlockSize) sink_.Deliver(&block_);
    }
  }

  void Finish(uint64_t size) override {
    if (frame_) throw sink_.Damage("it ends within a zstd frame", size);
    sink_.Deliver(&block_);
  }

 private:
  [[noreturn]] void Fail(size_t result, uint64_t offset) {
    switch (ZSTD_getErrorCode(result)) {
      case ZSTD_error_memory_allocation: throw std::bad_alloc();
      case ZSTD_error_frameParameter_windowTooLarge:
        throw Error("UNSUPPORTED", sink_.where() + ": its zstd window is over 128 MiB");
      default: throw sink_.Damage(std::string("zstd: ") + ZSTD_getErrorName(result), offset);
    }
  }

  Sink& sink_;
  ZstdStream stream_;
  std::vector<uint8_t> block_;
  bool frame_ = true;
};

// zstd's magic numbers have 32 bits, little-endian.
uint32_t MarkOf(const std::vector<uint8_t>& head) {
  uint32_t mark = 0;
  for (size_t i = 0; i < Decoder::kMarkSize; i++) mark |= static_cast<uint32_t>(head[i]) << (8 * i);
  return mark;
}

}  // namespace

Compression CompressionOf(const std::vector<uint8_t>& head) {
  if (head.size() >= 2 && head[0] == 0x1f && head[1] == 0x8b) return Compression::kGzip;
  if (head.size() < Decoder::kMarkSize) return Compression::kNone;
  const uint32_t mark = MarkOf(head);
  return mark == ZSTD_MAGICNUMBER || (mark & 0xfffffff0) == 0x184d2a50 ? Compression::kZstd : Compression::kNone;
}

std::unique_ptr<Decoder> DecoderFor(Compression compression, Decoder::Sink& sink) {
  switch (compression) {
    case Compression::kGzip: return std::make_unique<Gzip>(sink);
    case Compression::kZstd: return std::make_unique<Zstd>(sink);
    case Compression::kNone: break;
  }
  return nullptr;
}

}  // namespace stowage
