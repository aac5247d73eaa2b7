// Captures layers into a WIM: the contents of their files go straight to a WimWriter; their entries go to JavaScript,
// which makes the metadata of the images from them and passes it back at the end.
#ifndef STOWAGE_LAYER_LAYER_CAPTURE_H_
#define STOWAGE_LAYER_LAYER_CAPTURE_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "../base/batch_queue.h"
#include "../base/byte_queue.h"
#include "../wim/wim_writer.h"
#include "layer_scan.h"
#include "tar_reader.h"

namespace stowage::layer {

// One layer, and which files of it are kept.
struct CaptureLayer {
  // Names it in errors.
  std::string where;
  // For each entry, by its number, whether its content is kept, if that is known already: then only the hashes are
  // reported. Otherwise the content of everything below `roots` is kept, or of everything if there are none.
  std::optional<std::vector<uint8_t>> keep;
  std::vector<std::string> roots;
};

// What completes the WIM.
struct CaptureEnd {
  // Blobs that are not in a layer: reparse data.
  std::vector<std::vector<uint8_t>> blobs;
  // The metadata resource of each image.
  std::vector<std::vector<uint8_t>> images;
  // See WimWriter::Finish().
  std::string xml;
  bool rpfix = false;
};

class LayerCapture {
 public:
  // Called from the thread that runs: it must be quick.
  struct Observer {
    // More of the layer can be pushed.
    std::function<void()> room;
    // Bytes of the layers, decompressed, and bytes of the WIM.
    std::function<void(uint64_t read, uint64_t written)> progress;
    // A batch can be taken.
    std::function<void()> ready;
    // A layer is at its end.
    std::function<void(const LayerScanResult&)> layer;
  };

  LayerCapture(wim::WimWriterOptions options, Observer observer);

  // The next layer. From any thread, as all but Run().
  void Begin(CaptureLayer layer);
  // Bytes of the layer that was begun last. Returns the number of bytes queued.
  size_t Push(std::vector<uint8_t> bytes);
  void Finish();
  // After the last layer: Run() completes the WIM.
  void Seal(CaptureEnd end);
  // The next batch; false if there is none yet: entries for src/layer/read/tar-entry.ts, with the SHA-1 of their
  // content, if it was kept, in place of the beginning of the content. For a layer with `keep`: the number and the
  // SHA-1 of each file that was kept, 24 bytes.
  bool Take(std::vector<uint8_t>* batch);
  // Makes Run() throw ABORTED soon.
  void Cancel();

  // Does the work; call it once, on a thread of its own. Waits while too many batches are not taken. Returns the size
  // of the WIM.
  uint64_t Run();

 private:
  struct Queued {
    CaptureLayer layer;
    std::shared_ptr<ByteQueue> queue;
  };
  using Order = std::variant<Queued, CaptureEnd>;

  Order NextOrder();
  void RunLayer(const Queued& queued);
  bool Kept(const CaptureLayer& layer, const TarEntry& entry, uint32_t number) const;
  Sha1Hash Store(TarReader& tar, uint64_t size);
  void CheckCancelled();

  const wim::WimWriterOptions options_;
  const Observer observer_;
  BatchQueue batches_;
  std::unique_ptr<wim::WimWriter> writer_;
  uint64_t read_ = 0;
  uint64_t written_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Order> orders_;
  std::shared_ptr<ByteQueue> queue_;
  bool cancelled_ = false;
};

}  // namespace stowage::layer

#endif  // STOWAGE_LAYER_LAYER_CAPTURE_H_
