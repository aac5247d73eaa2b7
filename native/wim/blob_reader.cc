#include "blob_reader.h"

#include <algorithm>
#include <utility>

#include "../base/error.h"

namespace stowage::wim {

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
// Blobs that wait for the reader without having bytes of their own: damaged ones, repeated ones.
constexpr size_t kMostSlices = 65536;
constexpr size_t kNoWhole = SIZE_MAX;

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
    std::exception_ptr damage;
  };
  // A blob that begins and ends in this batch: the task hashes it, so that threads share that work too.
  struct Whole {
    size_t part;
    uint64_t offset;
    uint64_t size;
    Sha1Hash hash;
  };

  std::vector<Part> parts;
  std::vector<Whole> wholes;
  uint64_t size = 0;
  std::unique_ptr<uint8_t[]> out;
  Outcome outcome;
  std::shared_ptr<std::atomic<uint64_t>> waiting;

  ~Batch() {
    if (waiting) *waiting -= size;
  }

  size_t AddWhole(size_t part, uint64_t offset, uint64_t whole_size) {
    wholes.push_back({part, offset, whole_size, {}});
    return wholes.size() - 1;
  }
  void Run(Decompressors& decompressors);

 private:
  bool RawAndAdjacent(size_t first, size_t end) const;
  void RunParts(size_t first, size_t end, std::vector<uint8_t>& packed, Decompressors& decompressors);
};

// A blob of a solid resource, and how many of its bytes are scheduled.
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

void BlobReader::Batch::Run(Decompressors& decompressors) {
  std::vector<uint8_t> packed;
  for (size_t first = 0; first < parts.size();) {
    // Parts that are close together in the same file are read at once.
    size_t end = first + 1;
    const File& file = *parts[first].resource->file;
    uint64_t read_end = parts[first].read_offset + parts[first].read_size;
    while (end < parts.size() && parts[end].resource->file == &file && parts[end].read_offset >= read_end &&
           parts[end].read_offset - read_end <= kLargestGap &&
           parts[end].read_offset + parts[end].read_size - parts[first].read_offset <= kLargestRead) {
      read_end = parts[end].read_offset + parts[end].read_size;
      end++;
    }
    RunParts(first, end, packed, decompressors);
    first = end;
  }
  Sha1 sha1;
  for (Whole& whole : wholes) {
    if (parts[whole.part].damage) continue;
    sha1.Update(out.get() + whole.offset, whole.size);
    whole.hash = sha1.Finish();
  }
}

// Whether the parts are stored raw and adjacent, so that they can be read straight to their destination.
bool BlobReader::Batch::RawAndAdjacent(size_t first, size_t end) const {
  for (size_t i = first; i < end; i++) {
    if (parts[i].resource->compression != WIMLIB_COMPRESSION_TYPE_NONE) return false;
    if (i > first && parts[i].read_offset != parts[i - 1].read_offset + parts[i - 1].read_size) return false;
  }
  return true;
}

void BlobReader::Batch::RunParts(size_t first, size_t end, std::vector<uint8_t>& packed, Decompressors& decompressors) {
  const uint64_t read_begin = parts[first].read_offset;
  const uint64_t read_size = parts[end - 1].read_offset + parts[end - 1].read_size - read_begin;
  const bool raw = RawAndAdjacent(first, end);
  try {
    if (!raw && packed.size() < read_size) packed.resize(read_size);
    uint8_t* const to = raw ? out.get() + parts[first].out_offset : packed.data();
    parts[first].resource->file->Read(to, read_size, read_begin);
  } catch (const Error&) {
    // One bad sector must not affect its neighbours.
    if (end - first > 1) {
      for (; first < end; first++) RunParts(first, first + 1, packed, decompressors);
    } else {
      parts[first].damage = std::current_exception();
    }
    return;
  }
  if (raw) return;
  for (; first < end; first++) {
    Part& part = parts[first];
    const Resource& resource = *part.resource;
    try {
      if (part.chunks.empty()) {
        const uint64_t table = ChunkTableSpan(resource).offset - read_begin;
        part.chunks = ParseChunks(resource, packed.data() + table);
      }
      uint8_t* to = out.get() + part.out_offset;
      for (const Chunk& chunk : part.chunks) {
        UnpackChunk(resource, chunk, packed.data() + (chunk.offset - read_begin), to, decompressors);
        to += chunk.size;
      }
    } catch (const Error&) {
      part.damage = std::current_exception();
    }
  }
}

BlobReader::BlobReader(const BlobTable& table, std::vector<uint32_t> requests, WorkerPool& pool, uint64_t window)
    : table_(table),
      requests_(std::move(requests)),
      pool_(pool),
      decompressors_(std::make_shared<PerWorker<Decompressors>>(pool)),
      window_(WindowFor(table, requests_, pool, window)),
      waiting_(std::make_shared<std::atomic<uint64_t>>(0)),
      cancelled_(std::make_shared<std::atomic<bool>>(false)) {}

BlobReader::~BlobReader() { *cancelled_ = true; }

bool BlobReader::Next(Piece* piece) {
  Slice slice;
  if (!NextSlice(&slice)) return false;
  if (const std::exception_ptr damage = DamageOf(slice)) std::rethrow_exception(damage);
  piece->request = slice.request;
  piece->data = current_->out.get() + slice.offset;
  piece->size = slice.size;
  piece->last = slice.last;
  return true;
}

bool BlobReader::Check(Verdict* verdict) {
  verdict->damage = nullptr;
  for (;;) {
    Slice slice;
    if (!NextSlice(&slice)) return false;
    verdict->request = slice.request;
    const std::exception_ptr damage = DamageOf(slice);
    if (damage && !verdict->damage) verdict->damage = damage;
    if (slice.last) return true;
  }
}

// Waits for the next slice. False at the end. Throws what concerns no blob alone: ABORTED, no memory.
bool BlobReader::NextSlice(Slice* slice) {
  current_.reset();
  Schedule();
  if (slices_.empty()) return false;
  *slice = std::move(slices_.front());
  slices_.pop_front();
  current_ = slice->batch;
  if (current_) current_->outcome.Wait();
  return true;
}

// What is wrong with these bytes or, at the end of the blob, with the hash of them all.
std::exception_ptr BlobReader::DamageOf(const Slice& slice) {
  if (slice.damage) return slice.damage;
  if (slice.first) sha1_ = {};  // a damaged blob may have left something behind
  if (const std::exception_ptr damage = slice.batch->parts[slice.part].damage) return damage;
  if (slice.whole == kNoWhole) sha1_.Update(slice.batch->out.get() + slice.offset, slice.size);
  if (!slice.last) return nullptr;
  const Blob& blob = BlobOf(slice.request);
  const Sha1Hash found = slice.whole == kNoWhole ? sha1_.Finish() : slice.batch->wholes[slice.whole].hash;
  if (found == blob.hash) return nullptr;
  return std::make_exception_ptr(
      Error("WIM_CORRUPT", ResourceOf(slice.request).Describe() + ": expected a blob with SHA-1 " + Hex(blob.hash) +
                               " but its " + std::to_string(blob.size) + " bytes have " + Hex(found)));
}

void BlobReader::Schedule() {
  while (slices_.empty() || (*waiting_ < window_ && slices_.size() < kMostSlices)) {
    if (!ScheduleSome()) return;
  }
}

// Starts one more batch. False when everything is scheduled.
bool BlobReader::ScheduleSome() {
  if (big_) {
    ScheduleBig(ResourceOf(big_->request));
    return true;
  }
  if (solid_) {
    Attempt(solid_->request, [&] { ScheduleSolid(); });
    return true;
  }
  if (next_request_ == requests_.size()) return false;
  const auto request = static_cast<uint32_t>(next_request_);
  const Blob& blob = BlobOf(request);
  const Resource& resource = ResourceOf(request);
  if (blob.size == 0) {
    next_request_++;
    Attempt(request,
            [&] { throw Error("WIM_CORRUPT", resource.Describe() + ": blob " + Hex(blob.hash) + " has no bytes"); });
  } else if (resource.solid) {
    next_request_++;
    solid_ = std::make_unique<SolidBlob>(SolidBlob{request, 0});
    Attempt(request, [&] { ScheduleSolid(); });
  } else if (blob.size > kBatchSize) {
    next_request_++;
    Attempt(request, [&] {
      big_ = std::make_unique<BigBlob>(BigBlob{request, ReadChunks(resource)});
      ScheduleBig(resource);
    });
  } else {
    ScheduleSmall();
  }
  return true;
}

// If `work` finds the blob damaged, its slice reports that.
template <typename Work>
void BlobReader::Attempt(uint32_t request, Work work) {
  try {
    work();
  } catch (const Error&) {
    solid_.reset();
    slices_.push_back({nullptr, 0, kNoWhole, 0, 0, request, true, true, std::current_exception()});
  }
}

void BlobReader::ScheduleSmall() {
  auto batch = std::make_shared<Batch>();
  for (; next_request_ < requests_.size() && batch->size < kBatchSize && slices_.size() < kMostSlices;
       next_request_++) {
    const auto request = static_cast<uint32_t>(next_request_);
    const Blob& blob = BlobOf(request);
    const Resource& resource = ResourceOf(request);
    if (resource.solid || blob.size > kBatchSize || blob.size == 0) break;
    Attempt(request, [&] {
      const bool repeated = !batch->parts.empty() && batch->parts.back().resource == &resource;
      if (!repeated) {
        resource.CheckBounds();
        batch->AddWhole(batch->parts.size(), batch->size, blob.size);
        batch->parts.push_back({&resource, {}, batch->size, resource.offset, resource.size_in_wim, nullptr});
        batch->size += blob.size;
      }
      const size_t part = batch->parts.size() - 1;
      slices_.push_back({batch, part, part, batch->parts[part].out_offset, blob.size, request, true, true, nullptr});
    });
  }
  if (!batch->parts.empty()) Start(std::move(batch));
}

void BlobReader::ScheduleBig(const Resource& resource) {
  auto batch = std::make_shared<Batch>();
  std::vector<Chunk> chunks;
  const bool first = big_->next_chunk == 0;
  for (; big_->next_chunk < big_->chunks.size() && batch->size < kBatchSize; big_->next_chunk++) {
    chunks.push_back(big_->chunks[big_->next_chunk]);
    batch->size += chunks.back().size;
  }
  const uint64_t begin = chunks.front().offset;
  const uint64_t end = chunks.back().offset + chunks.back().size_in_wim;
  batch->parts.push_back({&resource, std::move(chunks), 0, begin, end - begin, nullptr});
  const bool last = big_->next_chunk == big_->chunks.size();
  slices_.push_back({batch, 0, kNoWhole, 0, batch->size, big_->request, first, last, nullptr});
  if (last) big_.reset();
  Start(std::move(batch));
}

// The next chunk of the blob, with the blobs that follow so long as they begin in it.
void BlobReader::ScheduleSolid() {
  const uint32_t index = BlobOf(solid_->request).resource;
  const Resource& resource = table_.resources()[index];
  const SolidChunk key = {index, (BlobOf(solid_->request).offset + solid_->done) / resource.chunk_size};
  const Chunk& chunk = ChunksOf(index).at(key.second);
  const auto found =
      std::find_if(solid_recent_.begin(), solid_recent_.end(), [&](const auto& recent) { return recent.first == key; });
  const bool begun = found != solid_recent_.end();
  const std::shared_ptr<Batch> batch = begun ? found->second : std::make_shared<Batch>();
  if (!begun) {
    batch->size = chunk.size;
    batch->parts.push_back({&resource, {chunk}, 0, chunk.offset, chunk.size_in_wim, nullptr});
    solid_recent_.push_back({key, batch});
    if (solid_recent_.size() > kSolidRecent) solid_recent_.pop_front();
  }
  while (solid_) {
    const uint32_t request = solid_->request;
    const Blob& blob = BlobOf(request);
    const uint64_t skip = (blob.offset + solid_->done) % resource.chunk_size;
    const uint64_t size = std::min<uint64_t>(chunk.size - skip, blob.size - solid_->done);
    const bool first = solid_->done == 0;
    solid_->done += size;
    const bool last = solid_->done == blob.size;
    // A batch that has begun belongs to its task.
    const size_t whole = first && last && !begun ? batch->AddWhole(0, skip, size) : kNoWhole;
    slices_.push_back({batch, 0, whole, skip, size, request, first, last, nullptr});
    if (!last) break;
    solid_.reset();
    if (begun || next_request_ == requests_.size() || slices_.size() >= kMostSlices) break;
    const auto next = static_cast<uint32_t>(next_request_);
    if (BlobOf(next).resource != index || BlobOf(next).size == 0) break;
    if (BlobOf(next).offset / resource.chunk_size != key.second) break;
    next_request_++;
    solid_ = std::make_unique<SolidBlob>(SolidBlob{next, 0});
  }
  if (!begun) Start(batch);
}

// What is wrong with a table is kept as well: all blobs of the resource ask for it.
const std::vector<Chunk>& BlobReader::ChunksOf(uint32_t resource) {
  const auto [place, added] = solid_chunks_.try_emplace(resource);
  SolidChunks& found = place->second;
  if (added) {
    try {
      found.chunks = ReadChunks(table_.resources()[resource]);
    } catch (const Error&) {
      found.damage = std::current_exception();
    }
  }
  if (found.damage) std::rethrow_exception(found.damage);
  return found.chunks;
}

void BlobReader::Start(std::shared_ptr<Batch> batch) {
  batch->out.reset(new uint8_t[batch->size]);
  *waiting_ += batch->size;
  batch->waiting = waiting_;
  pool_.Submit([batch, cancelled = cancelled_, decompressors = decompressors_](unsigned worker) {
    batch->outcome.Settle([&] {
      if (*cancelled) throw Error("ABORTED", "interrupted before the end");
      batch->Run(decompressors->Of(worker));
    });
  });
}

}  // namespace stowage::wim
