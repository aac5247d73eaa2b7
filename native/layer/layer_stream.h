// Combines bytes of a plan and blobs of an archive into one stream, hashes it, compresses it, hashes the result, and
// writes it to a file: a layer in one pass. It knows nothing about tar: headers, names and padding are bytes of the
// plan.
#ifndef STOWAGE_LAYER_LAYER_STREAM_H_
#define STOWAGE_LAYER_LAYER_STREAM_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "../base/decoder.h"
#include "../base/hash.h"
#include "../base/worker_pool.h"
#include "../wim/archive.h"
#include "../wim/blob_reader.h"
#include "gzip.h"
#include "zstd.h"

namespace stowage::layer {

struct LayerOptions {
  // An existing file, written from `offset` on.
  std::string path;
  uint64_t offset = 0;
  Compression compression = Compression::kGzip;
  // gzip: 1 to 12; zstd: 1 to 19.
  int level = 1;
  unsigned threads = 1;
};

struct LayerResult {
  // Of the stream before compression, and of what was written.
  Sha256Hash diff_id;
  Sha256Hash digest;
  uint64_t uncompressed_size = 0;
  uint64_t size = 0;
};

class LayerStream {
 public:
  // Called from the thread that runs, often: it must be quick.
  struct Observer {
    // Bytes of the stream so far, before and after compression.
    std::function<void(uint64_t uncompressed, uint64_t written)> progress;
    // The queue of the plan is running low: push more.
    std::function<void()> room;
  };

  // `blobs`: indexes into archive->blobs().blobs(), one for each cut of the plan, in order. If there are none, no
  // archive is needed.
  LayerStream(std::shared_ptr<const wim::Archive> archive, std::vector<uint32_t> blobs, LayerOptions options,
              Observer observer);

  // More of the plan: `bytes`, with the next blob inserted at each of `cuts`, offsets into `bytes` in ascending order.
  // Returns the number of bytes queued. From any thread.
  size_t Push(std::vector<uint8_t> bytes, std::vector<uint32_t> cuts);
  // The plan is complete.
  void Finish();
  // Makes Run() throw ABORTED soon.
  void Cancel();

  // Does the work; call it once, on a thread of its own. Throws WIM_CORRUPT, ABORTED or an errno's Error. The caller
  // removes what was written by then. File and threads are released before it returns or throws.
  LayerResult Run();

 private:
  struct Segment {
    std::vector<uint8_t> bytes;
    std::vector<uint32_t> cuts;
  };
  struct Block;

  LayerResult RunPlan();
  bool Take(Segment* segment);
  void Append(const uint8_t* data, size_t size);
  void AppendBlob(wim::BlobReader* reader);
  size_t BlockSize() const;
  void EndBlock();
  void WriteBlocks(size_t leave);
  void CheckCancelled() const;

  const std::shared_ptr<const wim::Archive> archive_;
  const std::vector<uint32_t> blobs_;
  const LayerOptions options_;
  const Observer observer_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Segment> queue_;
  size_t queued_ = 0;
  bool finished_ = false;
  std::atomic<bool> cancelled_{false};

  // Only of the running thread. The pool is last, so that its threads end before what they use.
  std::unique_ptr<File> file_;
  std::vector<uint8_t> block_;
  std::deque<std::shared_ptr<Block>> blocks_;
  Sha256 diff_id_;
  Sha256 digest_;
  LayerResult result_;
  struct Compressors {
    Gzip gzip;
    Zstd zstd;
  };
  std::shared_ptr<PerWorker<Compressors>> compressors_;
  std::unique_ptr<WorkerPool> pool_;
};

}  // namespace stowage::layer

#endif  // STOWAGE_LAYER_LAYER_STREAM_H_
