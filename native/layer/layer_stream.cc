#include "layer_stream.h"

#include <algorithm>
#include <utility>

#include "../base/error.h"

namespace stowage::layer {

namespace {

// One gzip member: large enough that losing the history between members costs less than one per cent.
constexpr size_t kGzipBlock = 1u << 20;
// One zstd frame: its history is as long at the usual levels. On a gigabyte, frames of 1 MiB cost four per cent against
// one frame, of 2 MiB two, and of 4 MiB one, but twice the memory.
constexpr size_t kZstdBlock = 2u << 20;
// Decompressed blobs ahead of the stream: two batches for each thread, and at least enough for two threads.
constexpr uint64_t kReadWindow = 8u << 20;
constexpr uint64_t kThreadWindow = 2u << 20;
// If fewer bytes of the plan are queued, the observer is asked for more.
constexpr size_t kLowWater = 1u << 20;

}  // namespace

struct LayerStream::Block {
  std::vector<uint8_t> bytes;
  std::vector<uint8_t> member;
  Outcome outcome;
};

LayerStream::LayerStream(std::shared_ptr<const wim::Archive> archive, std::vector<uint32_t> blobs, LayerOptions options,
                         Observer observer)
    : archive_(std::move(archive)),
      blobs_(std::move(blobs)),
      options_(std::move(options)),
      observer_(std::move(observer)) {}

size_t LayerStream::Push(std::vector<uint8_t> bytes, std::vector<uint32_t> cuts) {
  std::lock_guard<std::mutex> lock(mutex_);
  queued_ += bytes.size();
  queue_.push_back({std::move(bytes), std::move(cuts)});
  changed_.notify_all();
  return queued_;
}

void LayerStream::Finish() {
  std::lock_guard<std::mutex> lock(mutex_);
  finished_ = true;
  changed_.notify_all();
}

void LayerStream::Cancel() {
  std::lock_guard<std::mutex> lock(mutex_);
  cancelled_ = true;
  changed_.notify_all();
}

LayerResult LayerStream::Run() {
  const auto let_go = [this](void*) {
    pool_.reset();
    blocks_.clear();
    file_.reset();
  };
  const std::unique_ptr<void, decltype(let_go)> at_end(this, let_go);
  return RunPlan();
}

LayerResult LayerStream::RunPlan() {
  CheckCancelled();
  file_ = std::make_unique<File>(options_.path, File::Mode::kWrite);
  pool_ = std::make_unique<WorkerPool>(std::max(1u, options_.threads));
  compressors_ = std::make_shared<PerWorker<Compressors>>(*pool_);
  block_.reserve(BlockSize());
  std::unique_ptr<wim::BlobReader> reader;
  const uint64_t window = std::max(kReadWindow, pool_->size() * kThreadWindow);
  if (archive_) reader = std::make_unique<wim::BlobReader>(archive_->blobs(), blobs_, *pool_, window);
  Segment segment;
  while (Take(&segment)) {
    size_t done = 0;
    for (const uint32_t cut : segment.cuts) {
      const size_t at = std::min<size_t>(std::max<size_t>(cut, done), segment.bytes.size());
      Append(segment.bytes.data() + done, at - done);
      done = at;
      AppendBlob(reader.get());
    }
    Append(segment.bytes.data() + done, segment.bytes.size() - done);
  }
  EndBlock();
  WriteBlocks(0);
  file_->Sync();
  result_.diff_id = diff_id_.Finish();
  result_.digest = digest_.Finish();
  observer_.progress(result_.uncompressed_size, result_.size);
  return result_;
}

// Waits for the next part of the plan. False at its end.
bool LayerStream::Take(Segment* segment) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (queued_ < kLowWater && !finished_) {
    lock.unlock();
    observer_.room();
    lock.lock();
  }
  changed_.wait(lock, [this] { return cancelled_ || finished_ || !queue_.empty(); });
  CheckCancelled();
  if (queue_.empty()) return false;
  *segment = std::move(queue_.front());
  queue_.pop_front();
  queued_ -= segment->bytes.size();
  return true;
}

void LayerStream::AppendBlob(wim::BlobReader* reader) {
  wim::BlobReader::Piece piece;
  do {
    if (!reader || !reader->Next(&piece))
      throw Error("WIM_ERROR", "the plan of the layer names more blobs than announced");
    Append(piece.data, piece.size);
    CheckCancelled();
  } while (!piece.last);
}

size_t LayerStream::BlockSize() const { return options_.compression == Compression::kZstd ? kZstdBlock : kGzipBlock; }

void LayerStream::Append(const uint8_t* data, size_t size) {
  const size_t block_size = BlockSize();
  while (size > 0) {
    const size_t part = std::min(size, block_size - block_.size());
    block_.insert(block_.end(), data, data + part);
    data += part;
    size -= part;
    if (block_.size() == block_size) EndBlock();
  }
}

void LayerStream::EndBlock() {
  if (block_.empty()) return;
  diff_id_.Update(block_.data(), block_.size());
  result_.uncompressed_size += block_.size();
  auto block = std::make_shared<Block>();
  block->bytes.swap(block_);
  block_.reserve(BlockSize());
  blocks_.push_back(block);
  if (options_.compression == Compression::kNone) {
    block->member.swap(block->bytes);
    block->outcome.Settle([] {});
  } else {
    const bool zstd = options_.compression == Compression::kZstd;
    pool_->Submit([block, compressors = compressors_, zstd, level = options_.level](unsigned worker) {
      block->outcome.Settle([&] {
        const uint8_t* const bytes = block->bytes.data();
        const size_t size = block->bytes.size();
        Compressors& own = compressors->Of(worker);
        block->member = zstd ? own.zstd.Frame(bytes, size, level) : own.gzip.Member(bytes, size, level);
        block->bytes = {};
      });
    });
  }
  // Fewer blocks keep the threads busy if they are large.
  const bool large = BlockSize() > kGzipBlock;
  WriteBlocks(large ? pool_->size() + 1 : 2 * pool_->size() + 2);
}

// Writes compressed blocks, in order, until at most `leave` are unfinished.
void LayerStream::WriteBlocks(size_t leave) {
  while (!blocks_.empty() && (blocks_.size() > leave || blocks_.front()->outcome.settled())) {
    CheckCancelled();
    Block& block = *blocks_.front();
    block.outcome.Wait();
    digest_.Update(block.member.data(), block.member.size());
    file_->Write(block.member.data(), block.member.size(), options_.offset + result_.size);
    result_.size += block.member.size();
    blocks_.pop_front();
    observer_.progress(result_.uncompressed_size, result_.size);
  }
}

void LayerStream::CheckCancelled() const {
  if (cancelled_) throw Error("ABORTED", "interrupted before the end");
}

}  // namespace stowage::layer
