// The entries of a layer as records of bytes, in batches: each with what its headers say, a hash of its content and the
// beginning of it.
#ifndef STOWAGE_LAYER_LAYER_SCAN_H_
#define STOWAGE_LAYER_LAYER_SCAN_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "../base/batch_queue.h"
#include "../base/byte_queue.h"
#include "../base/hash.h"
#include "layer_input.h"
#include "tar_reader.h"

namespace stowage::layer {

// The hash of each file's content that a record holds; a SHA-1 is followed by zeros.
enum class EntryHash { kNone, kSha256, kSha1 };

struct LayerScanOptions {
  // Names the layer in errors.
  std::string name;
  EntryHash hash = EntryHash::kNone;
  // How much of the beginning of each file's content is wanted, in bytes.
  uint32_t head_size = 0;
  // Files of which the whole content is wanted, up to kWholeLimit: paths in lower case.
  std::set<std::string> whole;
};

// Larger than any registry hive.
constexpr uint32_t kWholeLimit = 1u << 30;

struct LayerScanResult {
  LayerFacts facts;
  uint64_t globals = 0;
};

// Appends a record as src/layer/read/tar-entry.ts reads it.
void PutEntry(std::vector<uint8_t>* batch, const TarEntry& entry, uint64_t offset, const Sha256Hash& hash,
              const std::vector<uint8_t>& head);

class LayerScan {
 public:
  // Called from the thread that runs: it must be quick.
  struct Observer {
    // More of the layer can be pushed.
    std::function<void()> room;
    // A batch can be taken.
    std::function<void()> ready;
  };

  LayerScan(LayerScanOptions options, Observer observer);

  // More of the layer. Returns the number of bytes queued. From any thread, as all but Run().
  size_t Push(std::vector<uint8_t> bytes);
  void Finish();
  // The next batch; false if there is none yet: records as src/layer/read/tar-entry.ts reads them.
  bool Take(std::vector<uint8_t>* batch);
  // Makes Run() throw ABORTED soon.
  void Cancel();

  // Does the work; call it once, on a thread of its own. Waits while too many batches are not taken. Throws what
  // LayerInput and TarReader throw.
  LayerScanResult Run();

 private:
  const LayerScanOptions options_;
  const std::shared_ptr<ByteQueue> queue_;
  BatchQueue batches_;
};

}  // namespace stowage::layer

#endif  // STOWAGE_LAYER_LAYER_SCAN_H_
