#include "layer_capture.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "../base/error.h"
#include "../base/little_endian.h"
#include "layer_input.h"

namespace stowage::layer {

namespace {

constexpr size_t kBatchSize = 32u << 10;
constexpr size_t kMostAhead = 256u << 10;

bool SameName(const char* a, const char* b, size_t size) {
  return std::equal(a, a + size, b, [](char one, char other) {
    return std::tolower(static_cast<unsigned char>(one)) == std::tolower(static_cast<unsigned char>(other));
  });
}

// The next name of `path` from `*at` on, and its size; 0 at the end. Skips empty names and `.`, as AppliedLayers does.
size_t NextName(const std::string& path, size_t* at, const char** name) {
  while (*at < path.size()) {
    const size_t start = *at;
    const size_t end = std::min(path.find('/', start), path.size());
    *at = std::min(end + 1, path.size());
    *name = path.data() + start;
    if (end > start && path.compare(start, end - start, ".") != 0) return end - start;
  }
  return 0;
}

// Whether `path` is below `root`, or a stream of it, to Windows: case does not matter.
bool Below(const std::string& path, const std::string& root) {
  size_t at = 0, root_at = 0;
  const char *name = nullptr, *wanted = nullptr;
  while (const size_t wanted_size = NextName(root, &root_at, &wanted)) {
    const size_t size = NextName(path, &at, &name);
    if (size < wanted_size || !SameName(name, wanted, wanted_size)) return false;
    if (size > wanted_size) return root_at == root.size() && name[wanted_size] == ':';
  }
  return true;
}

}  // namespace

LayerCapture::LayerCapture(wim::WimWriterOptions options, Observer observer)
    : options_(std::move(options)), observer_(std::move(observer)), batches_(kMostAhead, observer_.ready) {}

void LayerCapture::Begin(CaptureLayer layer) {
  auto queue = std::make_shared<ByteQueue>(observer_.room);
  std::lock_guard<std::mutex> lock(mutex_);
  if (cancelled_) queue->Cancel();
  queue_ = queue;
  orders_.push_back(Queued{std::move(layer), std::move(queue)});
  changed_.notify_all();
}

size_t LayerCapture::Push(std::vector<uint8_t> bytes) {
  std::lock_guard<std::mutex> lock(mutex_);
  return queue_ ? queue_->Push(std::move(bytes)) : 0;
}

void LayerCapture::Finish() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (queue_) queue_->Finish();
}

void LayerCapture::Seal(CaptureEnd end) {
  std::lock_guard<std::mutex> lock(mutex_);
  orders_.push_back(std::move(end));
  changed_.notify_all();
}

bool LayerCapture::Take(std::vector<uint8_t>* batch) { return batches_.Take(batch); }

void LayerCapture::Cancel() {
  batches_.Cancel();
  std::lock_guard<std::mutex> lock(mutex_);
  cancelled_ = true;
  if (queue_) queue_->Cancel();
  changed_.notify_all();
}

uint64_t LayerCapture::Run() {
  writer_ = std::make_unique<wim::WimWriter>(options_, [this](uint64_t written) {
    written_ = written;
    observer_.progress(read_, written_);
    CheckCancelled();
  });
  // File and threads are released in any case.
  const auto let_go = [this](void*) { writer_.reset(); };
  const std::unique_ptr<void, decltype(let_go)> at_end(this, let_go);
  for (;;) {
    const Order order = NextOrder();
    if (const auto* layer = std::get_if<Queued>(&order)) {
      RunLayer(*layer);
      continue;
    }
    const auto& end = std::get<CaptureEnd>(order);
    for (const auto& blob : end.blobs) {
      writer_->Begin(blob.size());
      writer_->Append(blob.data(), blob.size());
      writer_->End();
    }
    for (const auto& image : end.images) writer_->AddImage(image);
    return writer_->Finish(end.xml, end.rpfix);
  }
}

LayerCapture::Order LayerCapture::NextOrder() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return cancelled_ || !orders_.empty(); });
  if (cancelled_) throw Error("ABORTED", "interrupted before the end");
  Order order = std::move(orders_.front());
  orders_.pop_front();
  return order;
}

void LayerCapture::RunLayer(const Queued& queued) {
  const CaptureLayer& layer = queued.layer;
  LayerInput input(queued.queue, layer.where);
  TarReader tar(input, layer.where);
  TarEntry entry;
  std::vector<uint8_t> batch;
  for (uint32_t number = 0; tar.Next(&entry); number++) {
    const bool kept = Kept(layer, entry, number);
    const Sha1Hash hash = kept ? Store(tar, entry.size) : Sha1Hash{};
    if (!layer.keep) {
      const std::vector<uint8_t> head(hash.begin(), kept ? hash.end() : hash.begin());
      PutEntry(&batch, entry, tar.offset(), Sha256Hash{}, head);
    } else if (kept) {
      stowage::Store(batch, number);
      batch.insert(batch.end(), hash.begin(), hash.end());
    }
    if (batch.size() >= kBatchSize) batches_.Put(std::exchange(batch, {}));
  }
  batches_.Put(std::move(batch));
  observer_.layer({input.facts(), tar.globals()});
}

bool LayerCapture::Kept(const CaptureLayer& layer, const TarEntry& entry, uint32_t number) const {
  if (entry.size == 0) return false;
  if (layer.keep) return number < layer.keep->size() && (*layer.keep)[number] != 0;
  return layer.roots.empty() || std::any_of(layer.roots.begin(), layer.roots.end(),
                                            [&](const std::string& root) { return Below(entry.path, root); });
}

Sha1Hash LayerCapture::Store(TarReader& tar, uint64_t size) {
  writer_->Begin(size);
  const uint8_t* data = nullptr;
  size_t part = 0;
  while (tar.Read(&data, &part)) {
    writer_->Append(data, part);
    read_ += part;
    CheckCancelled();
  }
  return writer_->End();
}

void LayerCapture::CheckCancelled() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (cancelled_) throw Error("ABORTED", "interrupted before the end");
}

}  // namespace stowage::layer
