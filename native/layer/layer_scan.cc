#include "layer_scan.h"

#include <algorithm>
#include <utility>

#include "../base/hash.h"
#include "../base/little_endian.h"
#include "tar_reader.h"

namespace stowage::layer {

namespace {

// Some two hundred entries of a Windows layer: a few milliseconds of JavaScript, so that it never stops for long.
constexpr size_t kBatchSize = 64u << 10;
constexpr size_t kMostAhead = 1u << 20;

void PutText(std::vector<uint8_t>* batch, const std::string& text) {
  batch->insert(batch->end(), text.begin(), text.end());
}

// The path in lower case (of ASCII), without "./" before it.
std::string Plain(std::string path) {
  if (path.compare(0, 2, "./") == 0) path.erase(0, 2);
  for (char& character : path) {
    if (character >= 'A' && character <= 'Z') character = static_cast<char>(character - 'A' + 'a');
  }
  return path;
}

// The hash of one content after another, in as many bytes as the longest has.
class ContentHash {
 public:
  explicit ContentHash(EntryHash kind) : kind_(kind) {}

  bool wanted() const { return kind_ != EntryHash::kNone; }

  void Update(const uint8_t* data, size_t size) {
    if (kind_ == EntryHash::kSha256) sha256_.Update(data, size);
    if (kind_ == EntryHash::kSha1) sha1_.Update(data, size);
  }

  Sha256Hash Finish() {
    Sha256Hash hash{};
    if (kind_ == EntryHash::kSha256) hash = sha256_.Finish();
    if (kind_ == EntryHash::kSha1) {
      const Sha1Hash sha1 = sha1_.Finish();
      std::copy(sha1.begin(), sha1.end(), hash.begin());
    }
    return hash;
  }

 private:
  const EntryHash kind_;
  Sha256 sha256_;
  Sha1 sha1_;
};

uint32_t SizeOf(const std::string& text) { return static_cast<uint32_t>(text.size()); }

}  // namespace

void PutEntry(std::vector<uint8_t>* batch, const TarEntry& entry, uint64_t offset, const Sha256Hash& hash,
              const std::vector<uint8_t>& head) {
  Store(*batch, offset);
  Store(*batch, entry.size);
  Store(*batch, entry.uid);
  Store(*batch, entry.gid);
  Store(*batch, entry.mtime);
  Store(*batch, static_cast<uint32_t>(entry.type));
  Store(*batch, entry.mode);
  Store(*batch, entry.devmajor);
  Store(*batch, entry.devminor);
  for (const std::string* text : {&entry.path, &entry.linkname, &entry.uname, &entry.gname})
    Store(*batch, SizeOf(*text));
  Store(*batch, static_cast<uint32_t>(entry.records.size()));
  Store(*batch, static_cast<uint32_t>(head.size()));
  batch->insert(batch->end(), hash.begin(), hash.end());
  for (const std::string* text : {&entry.path, &entry.linkname, &entry.uname, &entry.gname}) PutText(batch, *text);
  for (const auto& [key, value] : entry.records) {
    Store(*batch, SizeOf(key));
    Store(*batch, SizeOf(value));
    PutText(batch, key);
    PutText(batch, value);
  }
  batch->insert(batch->end(), head.begin(), head.end());
}

LayerScan::LayerScan(LayerScanOptions options, Observer observer)
    : options_(std::move(options)),
      queue_(std::make_shared<ByteQueue>(std::move(observer.room))),
      batches_(kMostAhead, std::move(observer.ready)) {}

size_t LayerScan::Push(std::vector<uint8_t> bytes) { return queue_->Push(std::move(bytes)); }

void LayerScan::Finish() { queue_->Finish(); }

bool LayerScan::Take(std::vector<uint8_t>* batch) { return batches_.Take(batch); }

void LayerScan::Cancel() {
  queue_->Cancel();
  batches_.Cancel();
}

LayerScanResult LayerScan::Run() {
  LayerInput input(queue_, options_.name);
  TarReader reader(input, options_.name);
  TarEntry entry;
  ContentHash hash(options_.hash);
  std::vector<uint8_t> batch;
  std::vector<uint8_t> head;
  while (reader.Next(&entry)) {
    const uint64_t offset = reader.offset();
    const size_t head_size = options_.whole.count(Plain(entry.path)) != 0 ? kWholeLimit : options_.head_size;
    head.clear();
    const uint8_t* data;
    size_t size;
    // Content that is not needed is skipped.
    while ((hash.wanted() || head.size() < head_size) && reader.Read(&data, &size)) {
      hash.Update(data, size);
      head.insert(head.end(), data, data + std::min<size_t>(size, head_size - head.size()));
    }
    PutEntry(&batch, entry, offset, entry.type == '0' ? hash.Finish() : Sha256Hash(), head);
    if (batch.size() >= kBatchSize) batches_.Put(std::exchange(batch, {}));
  }
  batches_.Put(std::move(batch));
  return {input.facts(), reader.globals()};
}

}  // namespace stowage::layer
