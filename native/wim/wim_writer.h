// Writes a WIM from front to back into one file: blobs in the order they are added, each once; then metadata, blob
// table, XML, integrity table, and last the header, so that an unfinished file does not look like a WIM. Source:
// Microsoft's WIM white paper; wimlib for what its readers expect.
#ifndef STOWAGE_WIM_WIM_WRITER_H_
#define STOWAGE_WIM_WIM_WRITER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "../base/file.h"
#include "../base/hash.h"
#include "../base/worker_pool.h"
#include "compressors.h"

namespace stowage::wim {

struct WimWriterOptions {
  // An existing file, written from its first byte on.
  std::string path;
  // One of libwim's wimlib_compression_type: LZX, XPRESS or none.
  int compression = 0;
  // libwim's: 50 is its default, lower is faster.
  unsigned level = 50;
  unsigned threads = 1;
  bool integrity_table = false;
};

class WimWriter {
 public:
  // `progress` is called often, with the size of the file. Throws an errno's Error.
  WimWriter(const WimWriterOptions& options, std::function<void(uint64_t)> progress);
  // Drops unfinished work.
  ~WimWriter();

  // A blob of exactly `size` bytes: Begin, Append as often as it takes, End. Equal content is written once. Returns the
  // SHA-1, all zero for no bytes.
  void Begin(uint64_t size);
  void Append(const uint8_t* data, size_t size);
  Sha1Hash End();
  // The metadata resource of the next image. Every blob that it names must have been written. Throws WIM_CORRUPT.
  void AddImage(std::vector<uint8_t> metadata);
  // Blob table, XML, integrity table and header. `xml` is the content of the WIM element but for its TOTALBYTES, UTF-8.
  // `rpfix`: absolute links without NOT_FIXED are on the drive of their image. The GUID follows from the content.
  // Returns the size of the file.
  uint64_t Finish(const std::string& xml, bool rpfix = false);

 private:
  struct Batch;
  // A blob or a metadata resource, and where it is.
  struct Written {
    Sha1Hash hash{};
    uint64_t offset = 0;
    uint64_t size_in_wim = 0;
    uint64_t size = 0;
    uint32_t references = 0;
    uint8_t flags = 0;
  };

  void BeginResource(uint64_t size, uint8_t flags);
  void AddChunks(const uint8_t* data, size_t size);
  void EndBatch();
  // Writes compressed batches, in order, until at most `leave` are unfinished.
  void WriteBatches(size_t leave);
  void WriteBatch(const Batch& batch);
  void EndResource(Written& resource);
  // Rewrites a resource that did not get smaller, uncompressed, in its place.
  void StoreRaw(const Written& resource);
  uint64_t TableSize(const Written& resource) const;
  uint32_t ChunkCount(const Written& resource) const;
  // Buffers bytes, so that they are written in few calls.
  void Out(const void* data, size_t size);
  void Patch(const std::vector<uint8_t>& bytes, uint64_t offset);
  void Flush();
  uint64_t end() const { return out_offset_ + out_.size(); }
  void StepBack(uint64_t offset);
  std::vector<uint8_t> BlobTable() const;
  void WriteIntegrityTable(uint64_t covered);
  void WriteHeader(const std::vector<uint8_t>& table, uint64_t table_offset, uint64_t xml_offset, uint64_t xml_size,
                   uint64_t integrity_offset, uint64_t integrity_size, const std::vector<uint8_t>& guid);

  const WimWriterOptions options_;
  bool rpfix_ = false;
  const std::function<void(uint64_t)> progress_;
  File file_;
  std::unique_ptr<WorkerPool> pool_;
  std::shared_ptr<PerWorker<Compressors>> compressors_;

  std::vector<Written> resources_;
  // Indexes into resources_.
  std::vector<uint32_t> images_;
  std::unordered_map<Sha1Hash, uint32_t, Sha1Hasher> blobs_;

  // The current blob: small ones are gathered here until their hash is known.
  uint64_t coming_ = 0;
  bool gathered_ = false;
  std::vector<uint8_t> gathering_;
  Sha1 sha1_;

  // Work of the pool.
  std::shared_ptr<Batch> batch_;
  std::deque<std::shared_ptr<Batch>> batches_;
  // Of the resource whose chunks are being added.
  uint32_t coming_resource_ = 0;
  uint64_t coming_left_ = 0;

  // Of the resource that is being written.
  std::vector<uint64_t> chunk_sizes_;
  uint64_t out_offset_ = 0;
  std::vector<uint8_t> out_;
};

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_WIM_WRITER_H_
