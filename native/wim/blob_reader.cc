#include "blob_reader.h"

#include <algorithm>
#include <utility>

#include "error.h"

namespace wim {

namespace {

// Decompressed bytes of one task: enough to be worth a task, small enough to balance threads.
constexpr uint64_t kBatchSize = 1u << 20;
// Neighbouring small resources are read at once, over gaps of at most this.
constexpr uint64_t kLargestGap = 64u << 10;
// But never more than this at once, gaps and all.
constexpr uint64_t kLargestRead = 4u << 20;
// However many threads there are, decompressed chunks of solid resources (64 MiB each, as wimlib writes them) take no
// more than this, so long as two of them fit.
constexpr uint64_t kSolidWindow = 256u << 20;
// Decompressed chunks of a solid resource kept for blobs that straddle them.
constexpr size_t kSolidRecent = 2;

// Every thread may work on a chunk while the reader is at another, however large the chunks are.
uint64_t WindowFor(const BlobTable& table, const std::vector<uint32_t>& requests, const WorkerPool& pool,
                   uint64_t window) {
  uint64_t largest = 0;
  for (const uint32_t request : requests) {
    const Resource& resource = table.resources()[table.blobs()[request].resource];
    if (resource.solid) largest = std::max<uint64_t>(largest, std::min<uint64_t>(resource.chunk_size, resource.size));
  }
  const uint64_t wanted = std::min(largest * (pool.size() + 1), std::max(kSolidWindow, largest * 2));
  return std::max(window, wanted);
}

}  // namespace

// What one task decompresses: whole small resources, some chunks of a big one, or a chunk of a solid one.
struct BlobReader::Batch {
  struct Part {
    const Resource* resource;
    // Empty: the whole resource, whose chunk table the task parses itself.
    std::vector<Chunk> chunks;
    uint64_t out_offset;
    uint64_t read_offset;
    uint64_t read_size;
  };

  std::vector<Part> parts;
  uint64_t size = 0;
  std::unique_ptr<uint8_t[]> out;
  Outcome outcome;
  std::shared_ptr<std::atomic<uint64_t>> waiting;

  ~Batch() {
    if (waiting) *waiting -= size;
  }

  void Run(WorkerTools& tools);
};

struct BlobReader::Slice {
  std::shared_ptr<Batch> batch;
  uint64_t offset;
  uint64_t size;
  uint32_t request;
  bool last;
};

// A blob of a solid resource, of which so many bytes are scheduled.
struct BlobReader::SolidBlob {
  uint32_t request;
  uint64_t done;
};

// A blob too big for one batch, part of which is scheduled.
struct BlobReader::BigBlob {
  uint32_t request;
  std::vector<Chunk> chunks;
  size_t next_chunk = 0;
};

void BlobReader::Batch::Run(WorkerTools& tools) {
  std::vector<uint8_t> packed;
  for (size_t first = 0; first < parts.size();) {
    // Parts that stand close together in the same file come in with one read.
    size_t end = first + 1;
    const File& file = *parts[first].resource->file;
    uint64_t read_end = parts[first].read_offset + parts[first].read_size;
    while (end < parts.size() && parts[end].resource->file == &file && parts[end].read_offset >= read_end &&
           parts[end].read_offset - read_end <= kLargestGap &&
           parts[end].read_offset + parts[end].read_size - parts[first].read_offset <= kLargestRead) {
      read_end = parts[end].read_offset + parts[end].read_size;
      end++;
    }
    const uint64_t read_begin = parts[first].read_offset;
    packed.resize(read_end - read_begin);
    file.Read(packed.data(), packed.size(), read_begin);
    for (; first < end; first++) {
      Part& part = parts[first];
      const Resource& resource = *part.resource;
      if (part.chunks.empty()) {
        const uint64_t table = ChunkTableSpan(resource).offset - read_begin;
        part.chunks = ParseChunks(resource, packed.data() + table);
      }
      uint8_t* to = out.get() + part.out_offset;
      for (const Chunk& chunk : part.chunks) {
        UnpackChunk(resource, chunk, packed.data() + (chunk.offset - read_begin), to, tools.decompressors);
        to += chunk.size;
      }
    }
  }
}

BlobReader::BlobReader(const BlobTable& table, std::vector<uint32_t> requests, WorkerPool& pool, uint64_t window)
    : table_(table),
      requests_(std::move(requests)),
      pool_(pool),
      window_(WindowFor(table, requests_, pool, window)),
      waiting_(std::make_shared<std::atomic<uint64_t>>(0)),
      cancelled_(std::make_shared<std::atomic<bool>>(false)) {}

BlobReader::~BlobReader() { *cancelled_ = true; }

bool BlobReader::Next(Piece* piece) {
  current_.reset();
  Schedule();
  if (slices_.empty()) return false;
  const Slice slice = std::move(slices_.front());
  slices_.pop_front();
  current_ = slice.batch;
  slice.batch->outcome.Wait();
  piece->request = slice.request;
  piece->data = slice.batch->out.get() + slice.offset;
  piece->size = slice.size;
  piece->last = slice.last;
  sha1_.Update(piece->data, piece->size);
  if (slice.last) {
    const Blob& blob = table_.blobs()[requests_[slice.request]];
    const Sha1Hash found = sha1_.Finish();
    if (found != blob.hash) {
      throw Error("WIM_CORRUPT", table_.resources()[blob.resource].Describe() + ": expected a blob with SHA-1 " +
                                     Hex(blob.hash) + " but its " + std::to_string(blob.size) + " bytes have " +
                                     Hex(found));
    }
  }
  return true;
}

void BlobReader::Schedule() {
  while (slices_.empty() || *waiting_ < window_) {
    if (!ScheduleSome()) return;
  }
}

// Starts one more batch. False when everything is scheduled.
bool BlobReader::ScheduleSome() {
  if (big_) {
    ScheduleBig(table_.resources()[table_.blobs()[requests_[big_->request]].resource]);
    return true;
  }
  if (solid_) {
    ScheduleSolid();
    return true;
  }
  if (next_request_ == requests_.size()) return false;
  const auto request = static_cast<uint32_t>(next_request_);
  const Blob& blob = table_.blobs()[requests_[request]];
  const Resource& resource = table_.resources()[blob.resource];
  if (blob.size == 0) throw Error("WIM_CORRUPT", resource.Describe() + ": blob " + Hex(blob.hash) + " has no bytes");
  if (resource.solid) {
    next_request_++;
    solid_ = std::make_unique<SolidBlob>(SolidBlob{request, 0});
    ScheduleSolid();
  } else if (blob.size > kBatchSize) {
    next_request_++;
    big_ = std::make_unique<BigBlob>(BigBlob{request, ReadChunks(resource)});
    ScheduleBig(resource);
  } else {
    ScheduleSmall();
  }
  return true;
}

void BlobReader::ScheduleSmall() {
  auto batch = std::make_shared<Batch>();
  for (; next_request_ < requests_.size() && batch->size < kBatchSize; next_request_++) {
    const Blob& blob = table_.blobs()[requests_[next_request_]];
    const Resource& resource = table_.resources()[blob.resource];
    if (resource.solid || blob.size > kBatchSize) break;
    const bool repeated = !batch->parts.empty() && batch->parts.back().resource == &resource;
    if (!repeated) {
      resource.CheckBounds();
      batch->parts.push_back({&resource, {}, batch->size, resource.offset, resource.size_in_wim});
      batch->size += blob.size;
    }
    slices_.push_back({batch, batch->parts.back().out_offset, blob.size, static_cast<uint32_t>(next_request_), true});
  }
  Start(std::move(batch));
}

void BlobReader::ScheduleBig(const Resource& resource) {
  auto batch = std::make_shared<Batch>();
  std::vector<Chunk> chunks;
  for (; big_->next_chunk < big_->chunks.size() && batch->size < kBatchSize; big_->next_chunk++) {
    chunks.push_back(big_->chunks[big_->next_chunk]);
    batch->size += chunks.back().size;
  }
  const uint64_t begin = chunks.front().offset;
  const uint64_t end = chunks.back().offset + chunks.back().size_in_wim;
  batch->parts.push_back({&resource, std::move(chunks), 0, begin, end - begin});
  const bool last = big_->next_chunk == big_->chunks.size();
  slices_.push_back({batch, 0, batch->size, big_->request, last});
  if (last) big_.reset();
  Start(std::move(batch));
}

// The part of the blob that stands in its next chunk.
void BlobReader::ScheduleSolid() {
  const uint32_t request = solid_->request;
  const Blob& blob = table_.blobs()[requests_[request]];
  const Resource& resource = table_.resources()[blob.resource];
  const uint64_t at = blob.offset + solid_->done;
  const SolidChunk key = {blob.resource, at / resource.chunk_size};
  const Chunk& chunk = ChunksOf(blob.resource).at(key.second);
  const uint64_t skip = at % resource.chunk_size;
  const uint64_t size = std::min<uint64_t>(chunk.size - skip, blob.size - solid_->done);
  const auto found =
      std::find_if(solid_recent_.begin(), solid_recent_.end(), [&](const auto& recent) { return recent.first == key; });
  std::shared_ptr<Batch> batch;
  if (found != solid_recent_.end()) {
    batch = found->second;
  } else {
    batch = std::make_shared<Batch>();
    batch->size = chunk.size;
    batch->parts.push_back({&resource, {chunk}, 0, chunk.offset, chunk.size_in_wim});
    solid_recent_.push_back({key, batch});
    if (solid_recent_.size() > kSolidRecent) solid_recent_.pop_front();
    Start(batch);
  }
  solid_->done += size;
  const bool last = solid_->done == blob.size;
  slices_.push_back({std::move(batch), skip, size, request, last});
  if (last) solid_.reset();
}

const std::vector<Chunk>& BlobReader::ChunksOf(uint32_t resource) {
  const auto [place, added] = solid_chunks_.try_emplace(resource);
  if (added) place->second = ReadChunks(table_.resources()[resource]);
  return place->second;
}

void BlobReader::Start(std::shared_ptr<Batch> batch) {
  batch->out.reset(new uint8_t[batch->size]);
  *waiting_ += batch->size;
  batch->waiting = waiting_;
  pool_.Submit([batch, cancelled = cancelled_](WorkerTools& tools) {
    batch->outcome.Settle([&] {
      if (*cancelled) throw Error("ABORTED", "interrupted before the end");
      batch->Run(tools);
    });
  });
}

}  // namespace wim
