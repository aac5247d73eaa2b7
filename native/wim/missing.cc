#include "missing.h"

#include <unordered_map>
#include <unordered_set>

#include "../base/error.h"
#include "wim_struct.h"

namespace stowage::wim {

namespace {

using Hashes = std::unordered_set<Sha1Hash, Sha1Hasher>;

// Marks of what one image uses, or all of them.
struct Used {
  explicit Used(size_t blobs) : held(blobs) {}

  void AddHeld(uint32_t blob) {
    held_count += held[blob] ? 0 : 1;
    held[blob] = true;
  }

  Object Counts() const {
    return {{"used", static_cast<uint64_t>(held_count + missing.size())},
            {"missing", static_cast<uint64_t>(missing.size())}};
  }

  std::vector<bool> held;  // by index in the blob table
  size_t held_count = 0;
  Hashes missing;
};

Used UsedBy(const Archive& archive, uint32_t image) {
  const BlobTable& table = archive.blobs();
  const Metadata metadata = archive.ReadMetadata(image);
  Used used(table.blobs().size());
  for (const Stream& stream : metadata.streams()) {
    if (IsZero(stream.hash)) continue;
    if (const auto blob = table.Find(stream.hash)) {
      used.AddHeld(*blob);
    } else {
      used.missing.insert(stream.hash);
    }
  }
  return used;
}

}  // namespace

Value CountBlobs(const Arguments& arguments, const Observer& observer) {
  const auto archive = arguments.Wim("wim")->archive;
  if (!archive) throw Error("INVALID_ARGUMENT", "this WIM is not a file yet: write it, then open the file");
  const BlobTable& table = archive->blobs();
  Used all(table.blobs().size());
  // Images with the same metadata are counted once. The others cannot take more of the files than there is, or they
  // overlap: then a small file could keep us reading for long.
  std::unordered_map<Sha1Hash, Object, Sha1Hasher> counted;
  uint64_t left = archive->size();
  List images;
  for (uint32_t image = 1; image <= table.metadata().size(); image++) {
    if (observer.cancelled()) throw Error("ABORTED", "interrupted before the end");
    const Blob& blob = table.metadata()[image - 1];
    const auto known = counted.find(blob.hash);
    if (known != counted.end()) {
      images.emplace_back(known->second);
      continue;
    }
    const Resource& resource = table.resources()[blob.resource];
    if (resource.size_in_wim > left)
      throw Error("WIM_CORRUPT", resource.Describe() + ": the metadata of its images overlaps");
    left -= resource.size_in_wim;
    const Used used = UsedBy(*archive, image);
    for (uint32_t held = 0; held < used.held.size(); held++) {
      if (used.held[held]) all.AddHeld(held);
    }
    all.missing.insert(used.missing.begin(), used.missing.end());
    images.emplace_back(counted.emplace(blob.hash, used.Counts()).first->second);
  }
  Object result = all.Counts();
  result.emplace_back("images", std::move(images));
  return result;
}

}  // namespace stowage::wim
