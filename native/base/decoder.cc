#include "decoder.h"

#include <libdeflate.h>
#include <zstd_errors.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "error.h"
#include "inflate.h"
#include "little_endian.h"
#include "zstd_stream.h"

namespace stowage {

namespace {

constexpr size_t kBlockSize = Decoder::kBlockSize;
// The head of a gzip member holds the name of a file and a comment, and is refused if they are longer.
constexpr size_t kMostHead = 1u << 20;

// Members (RFC 1952), one after another; the last may be followed by zeros.
class Gzip : public Decoder {
 public:
  explicit Gzip(Sink& sink) : sink_(sink), inflate_(kBlockSize) {}

  void Add(const uint8_t* bytes, size_t size, uint64_t offset) override {
    while (size > 0 && !held_.empty()) {
      // With enough of what follows, what is left of the piece before is used up; with as much again, a long head is
      // looked at seldom
      const size_t some = std::min(size, std::max(held_.size(), Inflate::kLeft));
      const size_t held = held_.size();
      held_.resize(held + some);
      std::memcpy(held_.data() + held, bytes, some);
      const size_t left = Decode(held_.data(), held_.size(), offset + some);
      const size_t done = left <= some ? some - left : some;
      bytes += done;
      size -= done;
      offset += done;
      if (left <= some) {
        held_.clear();
      } else {
        held_.erase(held_.begin(), held_.end() - static_cast<std::ptrdiff_t>(left));
      }
    }
    if (size == 0) return;
    const size_t left = Decode(bytes, size, offset + size);
    held_.assign(bytes + size - left, bytes + size);
  }

  void Finish(uint64_t size) override {
    if (state_ != State::kBetween || !held_.empty()) throw sink_.Damage("it ends within a gzip member", size);
    if (inflate_.size() > 0) Deliver();
  }

 private:
  enum class State { kBetween, kContent, kTrailer };

  // Bytes that end at `end` of the layer. Returns how many are left, which come again with what follows.
  size_t Decode(const uint8_t* bytes, size_t size, uint64_t end) {
    at_ = bytes;
    end_ = bytes + size;
    offset_ = end;
    try {
      while (at_ < end_ && Step()) continue;
    } catch (const Error&) {
      throw;  // made by the sink
    } catch (const std::runtime_error& error) {
      throw sink_.Damage(std::string("gzip: ") + error.what(), offset_ - Left());
    }
    return Left();
  }

  size_t Left() const { return static_cast<size_t>(end_ - at_); }

  // False if more input is needed to go on.
  bool Step() {
    switch (state_) {
      case State::kBetween: return Begin();
      case State::kContent: return Content();
      case State::kTrailer: break;
    }
    return Trailer();
  }

  bool Begin() {
    if (!first_ && *at_ == 0) {
      padding_ = true;
      at_++;
      return true;
    }
    if (padding_ || (!first_ && *at_ != 0x1f))
      throw sink_.Damage("what follows a gzip member is not one", offset_ - Left());
    const size_t head = HeadSize();
    if (head == 0) return false;
    at_ += head;
    first_ = false;
    inflate_.Reset();
    crc_ = 0;
    size_ = 0;
    state_ = State::kContent;
    return true;
  }

  // 0 if it is not there as a whole. RFC 1952, 2.3.
  size_t HeadSize() const {
    const size_t left = Left();
    if (left < 10) return 0;
    if (at_[0] != 0x1f || at_[1] != 0x8b) throw std::runtime_error("incorrect header check");
    if (at_[2] != 8) throw std::runtime_error("unknown compression method");
    const uint8_t flags = at_[3];
    if ((flags & 0xe0) != 0) throw std::runtime_error("unknown header flags set");
    size_t size = 10;
    if ((flags & 4) != 0) {
      if (left < size + 2) return 0;
      size += 2u + Load16(at_ + size);
    }
    for (const int text : {8, 16}) {
      if ((flags & text) == 0) continue;
      if (left < size) return 0;
      const void* zero = std::memchr(at_ + size, 0, left - size);
      if (zero == nullptr && left > kMostHead) throw std::runtime_error("its header is over 1 MiB");
      if (zero == nullptr) return 0;
      size = static_cast<size_t>(static_cast<const uint8_t*>(zero) - at_) + 1;
    }
    if ((flags & 2) != 0) {
      if (left < size + 2) return 0;
      if ((libdeflate_crc32(0, at_, size) & 0xffff) != Load16(at_ + size))
        throw std::runtime_error("header crc mismatch");
      size += 2;
    }
    return left < size ? 0 : size;
  }

  bool Content() {
    const Inflate::Status status = inflate_.Run(&at_, end_);
    if (status == Inflate::Status::kInput) return false;
    Check();
    if (status == Inflate::Status::kEnd) state_ = State::kTrailer;
    // A block goes over from member to member: what hashes it wants whole blocks of its own
    if (inflate_.size() == kBlockSize) Deliver();
    return true;
  }

  // Adds what the block has more of the member.
  void Check() {
    const size_t size = inflate_.size() - checked_;
    crc_ = libdeflate_crc32(crc_, inflate_.data() + checked_, size);
    size_ += static_cast<uint32_t>(size);
    checked_ += size;
  }

  void Deliver() {
    inflate_.Take(&block_);
    checked_ = 0;
    sink_.Deliver(&block_);
  }

  bool Trailer() {
    if (Left() < 8) return false;
    if (Load32(at_) != crc_) throw std::runtime_error("incorrect data check");
    if (Load32(at_ + 4) != size_) throw std::runtime_error("incorrect length check");
    at_ += 8;
    state_ = State::kBetween;
    return true;
  }

  Sink& sink_;
  Inflate inflate_;
  State state_ = State::kBetween;
  // Of the layer, not yet decompressed; and what is left of it in a call of Add().
  std::vector<uint8_t> held_;
  const uint8_t* at_ = nullptr;
  const uint8_t* end_ = nullptr;
  Block block_;
  // Of the block, how much the member's checksum has.
  size_t checked_ = 0;
  // In the layer, of `end_`.
  uint64_t offset_ = 0;
  bool first_ = true;
  // Of the member so far, as its trailer has them.
  uint32_t crc_ = 0;
  uint32_t size_ = 0;
  bool padding_ = false;
};

class Zstd : public Decoder {
 public:
  explicit Zstd(Sink& sink) : sink_(sink) {}

  void Add(const uint8_t* bytes, size_t size, uint64_t offset) override {
    ZSTD_inBuffer in{bytes, size, 0};
    bool full = false;
    // If a block is full, the stream may hold more output.
    while (in.pos < in.size || full) {
      block_.memory.resize(kBlockSize);
      ZSTD_outBuffer out{block_.memory.data(), kBlockSize, block_.end};
      const size_t result = stream_.Decompress(&out, &in);
      block_.end = out.pos;
      if (ZSTD_isError(result)) Fail(result, offset + in.pos);
      frame_ = result != 0;
      full = out.pos == kBlockSize && frame_;
      if (out.pos == kBlockSize) Deliver();
    }
  }

  void Finish(uint64_t size) override {
    if (frame_) throw sink_.Damage("it ends within a zstd frame", size);
    if (block_.size() > 0) Deliver();
  }

 private:
  void Deliver() {
    sink_.Deliver(&block_);
    block_.begin = block_.end = 0;
  }

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
  Block block_;
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
