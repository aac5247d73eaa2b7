// Reads a layer (gzip, zstd or uncompressed) as the bytes of its tar: it is decompressed on a thread of its own, ahead
// of the reader, and hashed before and after. Sources: RFC 1952 (gzip), RFC 8878 (zstd), OCI image-spec layer.md.
#ifndef STOWAGE_LAYER_LAYER_INPUT_H_
#define STOWAGE_LAYER_LAYER_INPUT_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "../base/byte_queue.h"
#include "../base/decoder.h"
#include "../base/hash.h"

namespace stowage::layer {

struct LayerFacts {
  Compression compression = Compression::kNone;
  // SHA-256 of the bytes received, and of the tar in them.
  Sha256Hash digest{};
  Sha256Hash diff_id{};
  uint64_t size = 0;
  uint64_t uncompressed_size = 0;
};

class LayerInput : public ByteSource, private Decoder::Sink {
 public:
  // Starts the thread. `where` names the layer in errors.
  LayerInput(std::shared_ptr<ByteQueue> queue, std::string where);
  // Cancels the queue, and waits for the thread.
  ~LayerInput() override;

  // Throws LAYER_CORRUPT with the offset in the layer, UNSUPPORTED for a zstd window over 128 MiB, or ABORTED.
  size_t Read(const uint8_t** data) override;
  // After Read() came to the end.
  const LayerFacts& facts() const { return facts_; }
  const std::string& where() const override { return where_; }

 private:
  void Decode();
  // Hands a block to the reader: waits until there is room.
  void Deliver(Block* block) override;
  Error Damage(const std::string& why, uint64_t offset) const override;

  const std::shared_ptr<ByteQueue> queue_;
  const std::string where_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Block> blocks_;
  // Of all `blocks_`, in bytes.
  size_t ahead_ = 0;
  // Blocks that were read: their memory is reused.
  std::vector<Block> spares_;
  std::exception_ptr failure_;
  bool ended_ = false;
  bool stopping_ = false;

  // Of the reading thread.
  Block block_;
  Sha256 diff_id_;
  bool finished_ = false;
  // `digest`, `size` and `compression` are the other thread's until it ended.
  LayerFacts facts_;
  std::thread thread_;
};

}  // namespace stowage::layer

#endif  // STOWAGE_LAYER_LAYER_INPUT_H_
