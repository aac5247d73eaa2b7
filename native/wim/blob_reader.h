// Blobs of an archive in a given order: read and decompressed by several threads ahead of the reader, handed out in
// order, each checked against its SHA-1, in bounded memory.
#ifndef STOWAGE_WIM_BLOB_READER_H_
#define STOWAGE_WIM_BLOB_READER_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "../base/worker_pool.h"
#include "blob_table.h"
#include "decompressors.h"

namespace stowage::wim {

class BlobReader {
 public:
  // The next piece of the next blob. `data` is good until the next call.
  struct Piece {
    // Position in the list of requests.
    uint32_t request;
    const uint8_t* data;
    size_t size;
    // The last piece of its blob; it is handed out only if the blob's hash is right.
    bool last;
  };

  // The result for a whole blob.
  struct Verdict {
    uint32_t request;
    // Empty: all its bytes are there, and their SHA-1 is right.
    std::exception_ptr damage;
  };

  // `requests` are indexes into table.blobs(); in the order of their places in the file reading is fastest, and in a
  // solid resource any other order decompresses chunks again. A blob asked for twice in a row is decompressed once.
  // `window`: how many decompressed bytes may wait for the reader (at least one chunk a thread always may).
  // `table` and `pool` outlive the reader.
  BlobReader(const BlobTable& table, std::vector<uint32_t> requests, WorkerPool& pool, uint64_t window);
  ~BlobReader();

  // False at the end. Throws WIM_CORRUPT naming the blob, or what reading threw.
  bool Next(Piece* piece);
  // Reads and hashes the next blob without handing out its bytes. Damage is reported in the verdict, not thrown, and
  // the blobs after it can be checked as well. Must not be called between two pieces of one blob.
  bool Check(Verdict* verdict);

 private:
  struct Batch;
  struct Slice {
    // Empty: nothing of the blob could be scheduled, and `damage` says why.
    std::shared_ptr<Batch> batch;
    size_t part;
    // Index into the batch's wholes, or kNoWhole.
    size_t whole;
    uint64_t offset;
    uint64_t size;
    uint32_t request;
    bool first;
    bool last;
    std::exception_ptr damage;
  };
  struct BigBlob;
  struct SolidBlob;
  // The chunk table of a solid resource, or what is wrong with it.
  struct SolidChunks {
    std::vector<Chunk> chunks;
    std::exception_ptr damage;
  };
  // A resource, and a chunk of it.
  using SolidChunk = std::pair<uint32_t, uint64_t>;

  const Blob& BlobOf(uint32_t request) const { return table_.blobs()[requests_[request]]; }
  const Resource& ResourceOf(uint32_t request) const { return table_.resources()[BlobOf(request).resource]; }
  bool NextSlice(Slice* slice);
  std::exception_ptr DamageOf(const Slice& slice);
  void Schedule();
  bool ScheduleSome();
  template <typename Work>
  void Attempt(uint32_t request, Work work);
  void ScheduleSolid();
  const std::vector<Chunk>& ChunksOf(uint32_t resource);
  void ScheduleBig(const Resource& resource);
  void ScheduleSmall();
  void Start(std::shared_ptr<Batch> batch);

  const BlobTable& table_;
  const std::vector<uint32_t> requests_;
  WorkerPool& pool_;
  const std::shared_ptr<PerWorker<Decompressors>> decompressors_;
  const uint64_t window_;
  // Shared with the batches, which may outlive the reader by a moment.
  std::shared_ptr<std::atomic<uint64_t>> waiting_;
  std::shared_ptr<std::atomic<bool>> cancelled_;

  size_t next_request_ = 0;
  std::unique_ptr<BigBlob> big_;
  std::unique_ptr<SolidBlob> solid_;
  // Chunk tables of the solid resources read so far, and the chunks last begun.
  std::map<uint32_t, SolidChunks> solid_chunks_;
  std::deque<std::pair<SolidChunk, std::shared_ptr<Batch>>> solid_recent_;

  std::deque<Slice> slices_;
  std::shared_ptr<Batch> current_;
  Sha1 sha1_;
};

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_BLOB_READER_H_
