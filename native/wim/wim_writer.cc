#include "wim_writer.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "../base/error.h"
#include "../base/little_endian.h"
#include "blob_table.h"
#include "header.h"
#include "integrity.h"
#include "metadata.h"
#include "text.h"

namespace stowage::wim {

namespace {

constexpr uint32_t kVersion = 0x10d00;
// The only chunk size that every reader accepts.
constexpr uint32_t kChunkSize = 32768;
constexpr uint32_t kIntegrityChunkSize = 10u << 20;

// Blobs up to this size are hashed before they are compressed.
constexpr uint64_t kGathered = 4u << 20;
// What a worker gets at a time, so that many small files cost no more than one large one.
constexpr size_t kBatchSize = 256u << 10;
constexpr size_t kOutSize = 1u << 20;

void StoreResource(std::vector<uint8_t>& bytes, uint64_t size_in_wim, uint8_t flags, uint64_t offset, uint64_t size) {
  Store(bytes, size_in_wim | static_cast<uint64_t>(flags) << 56);
  Store(bytes, offset);
  Store(bytes, size);
}

}  // namespace

struct WimWriter::Batch {
  struct Chunk {
    uint32_t resource;
    uint32_t size;
    // In `packed`; equal to `size` if the chunk is stored uncompressed.
    uint32_t packed_size;
  };
  std::vector<uint8_t> bytes;
  std::vector<uint8_t> packed;
  std::vector<Chunk> chunks;
  Outcome outcome;

  void Compress(int type, unsigned level, Compressors& compressors) {
    packed.resize(bytes.size());
    uint8_t* from = bytes.data();
    uint8_t* to = packed.data();
    for (Chunk& chunk : chunks) {
      const size_t size = compressors.Compress(type, kChunkSize, level, from, chunk.size, to);
      if (size == 0) std::memcpy(to, from, chunk.size);
      chunk.packed_size = size == 0 ? chunk.size : static_cast<uint32_t>(size);
      from += chunk.size;
      to += chunk.packed_size;
    }
    packed.resize(static_cast<size_t>(to - packed.data()));
    bytes = {};
  }
};

WimWriter::WimWriter(const WimWriterOptions& options, std::function<void(uint64_t)> progress)
    : options_(options), progress_(std::move(progress)), file_(options.path, File::Mode::kWrite) {
  Compressors::Prepare(options_.compression);
  if (options_.compression != WIMLIB_COMPRESSION_TYPE_NONE) {
    pool_ = std::make_unique<WorkerPool>(std::max(1u, options_.threads));
    compressors_ = std::make_shared<PerWorker<Compressors>>(*pool_);
  }
  batch_ = std::make_shared<Batch>();
  const std::vector<uint8_t> zeros(Header::kSize);
  Out(zeros.data(), zeros.size());
}

WimWriter::~WimWriter() = default;

void WimWriter::Begin(uint64_t size) {
  coming_ = size;
  gathered_ = size <= kGathered;
  if (gathered_) {
    gathering_.clear();
  } else {
    BeginResource(size, 0);
  }
}

void WimWriter::Append(const uint8_t* data, size_t size) {
  if (size > coming_) throw Error("WIM_ERROR", "a blob is longer than announced");
  coming_ -= size;
  sha1_.Update(data, size);
  if (gathered_) {
    gathering_.insert(gathering_.end(), data, data + size);
  } else {
    AddChunks(data, size);
  }
}

Sha1Hash WimWriter::End() {
  const Sha1Hash hash = sha1_.Finish();
  if (coming_ != 0) throw Error("WIM_ERROR", "a blob is shorter than announced");
  if (gathered_ && gathering_.empty()) return Sha1Hash{};
  const auto next = static_cast<uint32_t>(resources_.size() - (gathered_ ? 0 : 1));
  const bool known = !blobs_.emplace(hash, next).second;
  if (gathered_) {
    if (known) return hash;
    BeginResource(gathering_.size(), 0);
    AddChunks(gathering_.data(), gathering_.size());
  } else if (known) {
    EndBatch();
    WriteBatches(0);
    StepBack(resources_.back().offset);
    resources_.pop_back();
    return hash;
  }
  resources_.back().hash = hash;
  return hash;
}

void WimWriter::AddImage(std::vector<uint8_t> metadata) {
  Sha1 sha1;
  sha1.Update(metadata.data(), metadata.size());
  const Sha1Hash hash = sha1.Finish();
  BeginResource(metadata.size(), ResourceHeader::kMetadata);
  AddChunks(metadata.data(), metadata.size());
  images_.push_back(static_cast<uint32_t>(resources_.size() - 1));
  resources_.back().hash = hash;
  resources_.back().references = 1;
  // As any reader will read it: each name of a file counts for each of its streams.
  const Metadata image(std::move(metadata), hash, "metadata of image " + std::to_string(images_.size()));
  for (const Stream& stream : image.streams()) {
    if (IsZero(stream.hash)) continue;
    const auto found = blobs_.find(stream.hash);
    if (found == blobs_.end())
      throw Error("WIM_CORRUPT", "the image names a blob that does not exist: " + Hex(stream.hash));
    resources_[found->second].references++;
  }
}

uint64_t WimWriter::Finish(const std::string& xml, bool rpfix) {
  rpfix_ = rpfix;
  EndBatch();
  WriteBatches(0);
  pool_.reset();
  const std::vector<uint8_t> table = BlobTable();
  const uint64_t table_offset = end();
  Out(table.data(), table.size());
  const uint64_t xml_offset = end();
  const std::u16string text =
      Utf16FromWtf8("\xef\xbb\xbf<WIM><TOTALBYTES>" + std::to_string(xml_offset) + "</TOTALBYTES>" + xml + "</WIM>");
  std::vector<uint8_t> xml_bytes;
  xml_bytes.reserve(2 * text.size());
  for (const char16_t unit : text) Store(xml_bytes, static_cast<uint16_t>(unit));
  Out(xml_bytes.data(), xml_bytes.size());
  Flush();
  const uint64_t integrity_offset = end();
  if (options_.integrity_table) WriteIntegrityTable(xml_offset);
  Flush();
  file_.Truncate(end());
  Sha1 sha1;
  sha1.Update(table.data(), table.size());
  sha1.Update(xml_bytes.data(), xml_bytes.size());
  const Sha1Hash hash = sha1.Finish();
  WriteHeader(table, table_offset, xml_offset, xml_bytes.size(), integrity_offset, end() - integrity_offset,
              std::vector<uint8_t>(hash.begin(), hash.begin() + 16));
  file_.Sync();
  progress_(end());
  return end();
}

void WimWriter::BeginResource(uint64_t size, uint8_t flags) {
  coming_resource_ = static_cast<uint32_t>(resources_.size());
  coming_left_ = size;
  resources_.emplace_back();
  resources_.back().size = size;
  resources_.back().flags = flags;
}

void WimWriter::AddChunks(const uint8_t* data, size_t size) {
  while (size > 0) {
    const uint64_t in_chunk = (resources_[coming_resource_].size - coming_left_) % kChunkSize;
    if (in_chunk == 0) {
      if (batch_->bytes.size() >= kBatchSize) EndBatch();
      batch_->chunks.push_back({coming_resource_, 0, 0});
    }
    const size_t part = static_cast<size_t>(std::min<uint64_t>(size, kChunkSize - in_chunk));
    batch_->bytes.insert(batch_->bytes.end(), data, data + part);
    batch_->chunks.back().size += static_cast<uint32_t>(part);
    coming_left_ -= part;
    data += part;
    size -= part;
  }
}

void WimWriter::EndBatch() {
  if (batch_->chunks.empty()) return;
  const auto batch = std::exchange(batch_, std::make_shared<Batch>());
  batch_->bytes.reserve(kBatchSize + kChunkSize);
  batches_.push_back(batch);
  if (!pool_) {
    for (Batch::Chunk& chunk : batch->chunks) chunk.packed_size = chunk.size;
    batch->packed.swap(batch->bytes);
    batch->outcome.Settle([] {});
  } else {
    pool_->Submit(
        [batch, compressors = compressors_, type = options_.compression, level = options_.level](unsigned worker) {
          batch->outcome.Settle([&] { batch->Compress(type, level, compressors->Of(worker)); });
        });
  }
  WriteBatches(pool_ ? 2 * pool_->size() + 2 : 0);
}

void WimWriter::WriteBatches(size_t leave) {
  while (!batches_.empty() && (batches_.size() > leave || batches_.front()->outcome.settled())) {
    batches_.front()->outcome.Wait();
    WriteBatch(*batches_.front());
    batches_.pop_front();
    progress_(end());
  }
}

void WimWriter::WriteBatch(const Batch& batch) {
  const uint8_t* from = batch.packed.data();
  for (const Batch::Chunk& chunk : batch.chunks) {
    Written& resource = resources_[chunk.resource];
    if (chunk_sizes_.empty()) {
      resource.offset = end();
      const std::vector<uint8_t> table(TableSize(resource));
      Out(table.data(), table.size());
    }
    Out(from, chunk.packed_size);
    from += chunk.packed_size;
    chunk_sizes_.push_back(chunk.packed_size);
    if (chunk_sizes_.size() == ChunkCount(resource)) EndResource(resource);
  }
}

void WimWriter::EndResource(Written& resource) {
  resource.size_in_wim = end() - resource.offset;
  if (pool_ && resource.size_in_wim >= resource.size) {
    if (TableSize(resource) > 0) StoreRaw(resource);
    resource.size_in_wim = resource.size;
  } else if (pool_) {
    resource.flags |= ResourceHeader::kCompressed;
    std::vector<uint8_t> table;
    uint64_t at = 0;
    for (size_t i = 0; i + 1 < chunk_sizes_.size(); i++) {
      at += chunk_sizes_[i];
      if (resource.size > 0xffffffff) {
        Store(table, at);
      } else {
        Store(table, static_cast<uint32_t>(at));
      }
    }
    if (!table.empty()) Patch(table, resource.offset);
  }
  chunk_sizes_.clear();
}

// Compression saved less than the chunk table takes, so no chunk is written over one that is still to be read.
void WimWriter::StoreRaw(const Written& resource) {
  Flush();
  Decompressors decompressors;
  std::vector<uint8_t> packed(kChunkSize);
  std::vector<uint8_t> chunk(kChunkSize);
  uint64_t from = resource.offset + TableSize(resource);
  uint64_t to = resource.offset;
  for (const uint64_t packed_size : chunk_sizes_) {
    const auto size = static_cast<size_t>(std::min<uint64_t>(kChunkSize, resource.offset + resource.size - to));
    file_.Read(packed.data(), packed_size, from);
    from += packed_size;
    if (packed_size < size) {
      decompressors.Decompress(options_.compression, kChunkSize, packed.data(), packed_size, chunk.data(), size,
                               "a chunk");
    }
    file_.Write((packed_size < size ? chunk : packed).data(), size, to);
    to += size;
  }
  StepBack(to);
}

uint32_t WimWriter::ChunkCount(const Written& resource) const {
  return static_cast<uint32_t>((resource.size + kChunkSize - 1) / kChunkSize);
}

uint64_t WimWriter::TableSize(const Written& resource) const {
  if (!pool_) return 0;
  return (ChunkCount(resource) - uint64_t{1}) * (resource.size > 0xffffffff ? 8 : 4);
}

void WimWriter::Out(const void* data, size_t size) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  out_.insert(out_.end(), bytes, bytes + size);
  if (out_.size() >= kOutSize) Flush();
}

void WimWriter::Patch(const std::vector<uint8_t>& bytes, uint64_t offset) {
  if (offset >= out_offset_) {
    std::copy(bytes.begin(), bytes.end(), out_.begin() + static_cast<ptrdiff_t>(offset - out_offset_));
  } else {
    file_.Write(bytes.data(), bytes.size(), offset);
  }
}

void WimWriter::Flush() {
  file_.Write(out_.data(), out_.size(), out_offset_);
  out_offset_ += out_.size();
  out_.clear();
}

void WimWriter::StepBack(uint64_t offset) {
  if (offset >= out_offset_) {
    out_.resize(static_cast<size_t>(offset - out_offset_));
  } else {
    out_.clear();
    out_offset_ = offset;
  }
}

std::vector<uint8_t> WimWriter::BlobTable() const {
  std::vector<uint8_t> table;
  const auto add = [&](const Written& resource) {
    StoreResource(table, resource.size_in_wim, resource.flags, resource.offset, resource.size);
    Store(table, uint16_t{1});
    Store(table, resource.references);
    table.insert(table.end(), resource.hash.begin(), resource.hash.end());
  };
  table.reserve(resources_.size() * BlobTable::kEntrySize);
  for (const uint32_t image : images_) add(resources_[image]);
  for (const Written& resource : resources_) {
    // A blob that no image names was superseded while it was written: it is left out.
    if (!(resource.flags & ResourceHeader::kMetadata) && resource.references > 0) add(resource);
  }
  return table;
}

void WimWriter::WriteIntegrityTable(uint64_t covered) {
  IntegrityTable table;
  table.begin = Header::kSize;
  table.end = covered;
  table.chunk_size = kIntegrityChunkSize;
  const uint64_t count = (covered - table.begin + kIntegrityChunkSize - 1) / kIntegrityChunkSize;
  std::vector<uint8_t> bytes;
  Store(bytes, static_cast<uint32_t>(12 + count * sizeof(Sha1Hash)));
  Store(bytes, static_cast<uint32_t>(count));
  Store(bytes, kIntegrityChunkSize);
  for (size_t chunk = 0; chunk < count; chunk++) {
    const Sha1Hash hash = table.HashOf(file_, chunk, [this] {
      progress_(end());
      return false;
    });
    bytes.insert(bytes.end(), hash.begin(), hash.end());
  }
  Out(bytes.data(), bytes.size());
}

void WimWriter::WriteHeader(const std::vector<uint8_t>& table, uint64_t table_offset, uint64_t xml_offset,
                            uint64_t xml_size, uint64_t integrity_offset, uint64_t integrity_size,
                            const std::vector<uint8_t>& guid) {
  uint32_t flags = 0;
  if (options_.compression == WIMLIB_COMPRESSION_TYPE_LZX) flags = Header::kCompressed | Header::kLzx;
  if (options_.compression == WIMLIB_COMPRESSION_TYPE_XPRESS) flags = Header::kCompressed | Header::kXpress;
  std::vector<uint8_t> bytes(kMagic, kMagic + 8);
  Store(bytes, static_cast<uint32_t>(Header::kSize));
  Store(bytes, kVersion);
  Store(bytes, flags | (rpfix_ ? Header::kRpFix : 0u));
  Store(bytes, flags == 0 ? 0 : kChunkSize);
  bytes.insert(bytes.end(), guid.begin(), guid.end());
  Store(bytes, uint16_t{1});  // part 1
  Store(bytes, uint16_t{1});  // of 1
  Store(bytes, static_cast<uint32_t>(images_.size()));
  StoreResource(bytes, table.size(), 0, table_offset, table.size());
  StoreResource(bytes, xml_size, 0, xml_offset, xml_size);
  StoreResource(bytes, 0, 0, 0, 0);  // no image boots
  Store(bytes, uint32_t{0});
  if (integrity_size > 0) {
    StoreResource(bytes, integrity_size, 0, integrity_offset, integrity_size);
  } else {
    StoreResource(bytes, 0, 0, 0, 0);
  }
  bytes.resize(Header::kSize);
  file_.Write(bytes.data(), bytes.size(), 0);
}

}  // namespace stowage::wim
