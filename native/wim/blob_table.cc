#include "blob_table.h"

#include <algorithm>
#include <cstring>

#include "../base/error.h"
#include "../base/little_endian.h"

namespace stowage::wim {

namespace {

constexpr uint32_t kNoBlob = 0xffffffff;
// Two fifths of each entry are a hash, which does not shrink: a table larger than this many times the file names the
// same blobs repeatedly.
constexpr uint64_t kLargestTableRatio = 8;

}  // namespace

struct BlobTable::Entry {
  ResourceHeader at;
  uint16_t part;
  uint32_t references;
  Sha1Hash hash;

  static Entry From(const uint8_t* bytes) {
    Entry entry;
    entry.at = ResourceHeader::From(bytes);
    entry.part = Load16(bytes + 24);
    entry.references = Load32(bytes + 26);
    std::memcpy(entry.hash.data(), bytes + 30, entry.hash.size());
    return entry;
  }

  bool solid() const { return at.flags & ResourceHeader::kSolid; }
  bool solid_resource() const { return solid() && at.uncompressed_size == kSolidResource; }
};

uint64_t BlobTable::LargestSize(const File& file) { return file.size() * kLargestTableRatio; }

void BlobTable::Add(std::unique_ptr<File> owned, const Header& header) {
  const File& file = *owned;
  files_.push_back(std::move(owned));
  if (header.blob_table.size_in_wim == 0) return;

  Decompressors decompressors;
  const Resource resource = Resource::From(file, header, header.blob_table);
  const std::vector<uint8_t> table = ReadWhole(resource, LargestSize(file), decompressors);
  std::vector<Entry> run;
  for (size_t at = 0; at + kEntrySize <= table.size(); at += kEntrySize) {
    const Entry entry = Entry::From(table.data() + at);
    if (entry.part != header.part || (entry.at.flags & ResourceHeader::kFree)) continue;
    if (entry.solid()) {
      run.push_back(entry);
      continue;
    }
    AddSolidRun(file, header, run);
    run.clear();
    if (entry.at.flags & ResourceHeader::kSpanned) {
      throw Error("UNSUPPORTED", file.path() + ": a blob spans several parts, which no known tool writes");
    }
    const bool metadata = entry.at.flags & ResourceHeader::kMetadata;
    if (metadata ? entry.references == 0 : IsZero(entry.hash)) continue;
    resources_.push_back(Resource::From(file, header, entry.at));
    const auto index = static_cast<uint32_t>(resources_.size() - 1);
    const Blob blob = {entry.hash, index, entry.references, 0, resources_.back().size};
    if (metadata) {
      metadata_.push_back(blob);
    } else {
      AddBlob(blob);
    }
  }
  AddSolidRun(file, header, run);
}

void BlobTable::AddReference(std::unique_ptr<File> file, const Header& header) {
  const size_t images = metadata_.size();
  Add(std::move(file), header);
  metadata_.resize(images);
}

// Consecutive solid entries belong together: some name resources, the others blobs, whose offsets count through the
// resources of the run as if they stood end to end.
void BlobTable::AddSolidRun(const File& file, const Header& header, const std::vector<Entry>& run) {
  std::vector<uint32_t> indexes;
  for (const Entry& entry : run) {
    if (!entry.solid_resource()) continue;
    resources_.push_back(Resource::From(file, header, entry.at));
    indexes.push_back(static_cast<uint32_t>(resources_.size() - 1));
  }
  for (const Entry& entry : run) {
    if (entry.solid_resource()) continue;
    if (IsZero(entry.hash)) continue;
    uint64_t offset = entry.at.offset;
    const uint64_t size = entry.at.size_in_wim;
    const auto holder = std::find_if(indexes.begin(), indexes.end(), [&](uint32_t index) {
      if (offset < resources_[index].size) return true;
      offset -= resources_[index].size;
      return false;
    });
    if (holder == indexes.end() || size > resources_[*holder].size - offset) {
      throw Error("WIM_CORRUPT", file.path() + ": blob " + Hex(entry.hash) + " is not in any solid resource");
    }
    AddBlob({entry.hash, *holder, entry.references, offset, size});
  }
}

void BlobTable::AddBlob(const Blob& blob) {
  if (2 * blobs_.size() >= slots_.size()) Grow();
  uint32_t& slot = slots_[SlotOf(blob.hash)];
  if (slot != kNoBlob) return;
  slot = static_cast<uint32_t>(blobs_.size());
  blobs_.push_back(blob);
}

void BlobTable::Grow() {
  slots_.assign(std::max<size_t>(1024, 2 * slots_.size()), kNoBlob);
  for (uint32_t index = 0; index < blobs_.size(); index++) slots_[SlotOf(blobs_[index].hash)] = index;
}

size_t BlobTable::SlotOf(const Sha1Hash& hash) const {
  size_t slot = Sha1Hasher()(hash) & (slots_.size() - 1);
  while (slots_[slot] != kNoBlob && blobs_[slots_[slot]].hash != hash) slot = (slot + 1) & (slots_.size() - 1);
  return slot;
}

std::optional<uint32_t> BlobTable::Find(const Sha1Hash& hash) const {
  if (slots_.empty()) return std::nullopt;
  const uint32_t index = slots_[SlotOf(hash)];
  if (index == kNoBlob) return std::nullopt;
  return index;
}

}  // namespace stowage::wim
