#include "layer_input.h"

#include <libdeflate.h>
#define ZLIB_CONST
#include <zlib.h>
#include <zstd_errors.h>

#include <new>
#include <system_error>
#include <utility>

#include "../base/error.h"
#include "../base/zstd_stream.h"

namespace stowage::layer {

namespace {

constexpr size_t kBlockSize = 256u << 10;
// Decompressed bytes ahead of the reader.
constexpr size_t kAhead = 4u << 20;
// The largest gzip member that is decompressed at once, decompressed and compressed: that of LayerStream.
constexpr size_t kMemberSize = 1u << 20;
constexpr size_t kMemberBound = kMemberSize + (64u << 10);
// The longest magic number of a compression.
constexpr size_t kMarkSize = 4;

}  // namespace

// Takes the layer piece by piece and delivers the tar in it.
class LayerInput::Decoder {
 public:
  virtual ~Decoder() = default;
  // `offset`: of the piece in the layer.
  virtual void Add(std::vector<uint8_t>& piece, uint64_t offset) = 0;
  // At the end, in `size` bytes.
  virtual void Finish(uint64_t size) = 0;
};

// Members that are small enough go through libdeflate, which is twice as fast as zlib but wants them whole; from the
// first that is not, it is zlib.
class LayerInput::Gzip : public Decoder {
 public:
  explicit Gzip(LayerInput& input) : input_(input), decompressor_(libdeflate_alloc_decompressor()) {
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
    if (member_) input_.Corrupt("it ends within a gzip member", size);
    input_.Deliver(&block_);
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
    input_.Deliver(&block_);
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
    if (byte != 0x1f || padding_) input_.Corrupt("what follows a gzip member is not one", offset);
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
      if (stream_.avail_out == 0) input_.Deliver(&block_);
      if (result == Z_STREAM_END) {
        member_ = false;
        return;
      }
      if (result == Z_MEM_ERROR) throw std::bad_alloc();
      // Z_BUF_ERROR: it needs more input, which comes with the next piece.
      if (result == Z_BUF_ERROR) return;
      if (result != Z_OK) {
        const char* why = stream_.msg == nullptr ? "it is not gzip" : stream_.msg;
        input_.Corrupt(std::string("gzip: ") + why, end - stream_.avail_in);
      }
    } while (stream_.avail_in > 0 || block_.empty());
  }

  LayerInput& input_;
  const std::unique_ptr<libdeflate_decompressor, Deleter> decompressor_;
  bool whole_members_ = true;
  // Of the layer, not yet decompressed.
  std::vector<uint8_t> held_;
  z_stream stream_{};
  std::vector<uint8_t> block_;
  bool member_ = false;
  bool padding_ = false;
};

class LayerInput::Zstd : public Decoder {
 public:
  explicit Zstd(LayerInput& input) : input_(input) {}

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
      if (out.pos == kBlockSize) input_.Deliver(&block_);
    }
  }

  void Finish(uint64_t size) override {
    if (frame_) input_.Corrupt("it ends within a zstd frame", size);
    input_.Deliver(&block_);
  }

 private:
  [[noreturn]] void Fail(size_t result, uint64_t offset) {
    switch (ZSTD_getErrorCode(result)) {
      case ZSTD_error_memory_allocation: throw std::bad_alloc();
      case ZSTD_error_frameParameter_windowTooLarge:
        throw Error("UNSUPPORTED", input_.where_ + ": its zstd window is over 128 MiB");
      default: input_.Corrupt(std::string("zstd: ") + ZSTD_getErrorName(result), offset);
    }
  }

  LayerInput& input_;
  ZstdStream stream_;
  std::vector<uint8_t> block_;
  bool frame_ = true;
};

namespace {

// zstd's magic numbers have 32 bits, little-endian.
uint32_t MarkOf(const std::vector<uint8_t>& head) {
  uint32_t mark = 0;
  for (size_t i = 0; i < kMarkSize; i++) mark |= static_cast<uint32_t>(head[i]) << (8 * i);
  return mark;
}

}  // namespace

LayerInput::LayerInput(std::shared_ptr<ByteQueue> queue, std::string where)
    : queue_(std::move(queue)), where_(std::move(where)) {
  try {
    thread_ = std::thread([this] {
      std::exception_ptr failure;
      try {
        Decode();
      } catch (...) {
        failure = std::current_exception();
      }
      std::lock_guard<std::mutex> lock(mutex_);
      failure_ = failure;
      ended_ = true;
      changed_.notify_all();
    });
  } catch (const std::system_error& error) {
    throw Error("WIM_ERROR", std::string("cannot start a thread: ") + error.what());
  }
}

LayerInput::~LayerInput() {
  queue_->Cancel();
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

size_t LayerInput::Read(const uint8_t** data) {
  if (finished_) return 0;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    if (block_.capacity() >= kBlockSize && spares_.size() < 2) spares_.push_back(std::move(block_));
    block_.clear();
    changed_.wait(lock, [this] { return ended_ || !blocks_.empty(); });
    if (blocks_.empty()) {
      if (failure_) std::rethrow_exception(failure_);
      finished_ = true;
      facts_.diff_id = diff_id_.Finish();
      return 0;
    }
    block_ = std::move(blocks_.front());
    blocks_.pop_front();
    ahead_ -= block_.size();
    changed_.notify_all();
  }
  diff_id_.Update(block_.data(), block_.size());
  facts_.uncompressed_size += block_.size();
  *data = block_.data();
  return block_.size();
}

void LayerInput::Deliver(std::vector<uint8_t>* block) {
  if (block->empty()) return;
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return stopping_ || ahead_ < kAhead; });
  if (stopping_) throw Error("ABORTED", "interrupted before the end");
  ahead_ += block->size();
  blocks_.push_back(std::move(*block));
  block->clear();
  if (!spares_.empty()) {
    *block = std::move(spares_.back());
    spares_.pop_back();
    block->clear();
  }
  changed_.notify_all();
}

void LayerInput::Corrupt(const std::string& why, uint64_t offset) const {
  throw Error("LAYER_CORRUPT", where_ + ": at byte " + std::to_string(offset) + ": " + why);
}

// Runs on the decoding thread. Null if the layer is not compressed.
std::unique_ptr<LayerInput::Decoder> LayerInput::Recognize(const std::vector<uint8_t>& head) {
  if (head.size() >= 2 && head[0] == 0x1f && head[1] == 0x8b) {
    facts_.compression = LayerCompression::kGzip;
    return std::make_unique<Gzip>(*this);
  }
  if (head.size() < kMarkSize) return nullptr;
  const uint32_t mark = MarkOf(head);
  if (mark != ZSTD_MAGICNUMBER && (mark & 0xfffffff0) != 0x184d2a50) return nullptr;
  facts_.compression = LayerCompression::kZstd;
  return std::make_unique<Zstd>(*this);
}

void LayerInput::Decode() {
  Sha256 digest;
  std::vector<uint8_t> piece;
  std::vector<uint8_t> head;
  while (head.size() < kMarkSize && queue_->Take(&piece)) {
    if (head.empty()) {
      head = std::move(piece);
    } else {
      head.insert(head.end(), piece.begin(), piece.end());
    }
  }
  const std::unique_ptr<Decoder> decoder = Recognize(head);
  uint64_t size = 0;
  for (bool more = !head.empty(); more; more = queue_->Take(&head)) {
    digest.Update(head.data(), head.size());
    const uint64_t offset = size;
    size += head.size();
    if (decoder) {
      decoder->Add(head, offset);
    } else {
      Deliver(&head);
    }
  }
  if (size == 0) Corrupt("it is empty", 0);
  if (decoder) decoder->Finish(size);
  facts_.digest = digest.Finish();
  facts_.size = size;
}

}  // namespace stowage::layer
