#include "directory_streams.h"

#include <algorithm>
#include <unordered_set>

#include "../base/hash.h"
#include "../base/little_endian.h"
#include "metadata.h"

namespace stowage::wim {

namespace {

// In a dentry, and in a stream's entry.
constexpr size_t kAttributesAt = 8;
constexpr size_t kSubdirectoryAt = 16;
constexpr size_t kMainHashAt = 64;
constexpr size_t kStreamCountAt = 96;
constexpr size_t kStreamHashAt = 16;
constexpr size_t kStreamNameSizeAt = 36;

constexpr size_t kHashSize = sizeof(Sha1Hash);

// Bytes that are left out.
struct Cut {
  uint64_t offset;
  uint64_t size;
};

// A dentry that loses entries of streams.
struct Change {
  uint64_t dentry;
  uint16_t stream_count;
  // Where the hash is that moves into the dentry; 0: none does.
  uint64_t hash_at;
};

bool IsZeroHash(const uint8_t* hash) {
  return std::all_of(hash, hash + kHashSize, [](uint8_t byte) { return byte == 0; });
}

class Scan {
 public:
  explicit Scan(const std::vector<uint8_t>& bytes) : bytes_(bytes) {}

  // False if the tree is damaged.
  bool Run() {
    if (bytes_.size() < 8) return false;
    const uint64_t root = Align8(std::max<uint64_t>(Load32(bytes_.data()), 8));
    uint64_t subdirectory = 0;
    const uint64_t size = Dentry(root, &subdirectory);
    if (size <= kEnd) return size == kEnd;
    std::unordered_set<uint64_t> seen;
    std::vector<uint64_t> lists;
    const auto add = [&](uint64_t offset) {
      if (offset != 0) lists.push_back(offset);
      return offset == 0 || seen.insert(offset).second;
    };
    if (!add(subdirectory)) return false;
    while (!lists.empty()) {
      uint64_t at = lists.back();
      lists.pop_back();
      uint64_t step = 0;
      while ((step = Dentry(at, &subdirectory)) > kEnd) {
        if (!add(subdirectory)) return false;
        at += step;
      }
      if (step != kEnd) return false;
    }
    std::sort(cuts_.begin(), cuts_.end(), [](const Cut& a, const Cut& b) { return a.offset < b.offset; });
    for (size_t n = 1; n < cuts_.size(); n++) {
      if (cuts_[n].offset < cuts_[n - 1].offset + cuts_[n - 1].size) return false;  // directories overlap
    }
    return true;
  }

  bool right() const { return cuts_.empty(); }

  std::vector<uint8_t> Mended() const {
    std::vector<uint8_t> from = bytes_;
    for (const Change& change : changes_) {
      uint8_t* const dentry = from.data() + change.dentry;
      dentry[kStreamCountAt] = static_cast<uint8_t>(change.stream_count);
      dentry[kStreamCountAt + 1] = static_cast<uint8_t>(change.stream_count >> 8);
      if (change.hash_at != 0) std::copy_n(bytes_.data() + change.hash_at, kHashSize, dentry + kMainHashAt);
    }
    std::vector<uint64_t> cut_before(cuts_.size() + 1);
    for (size_t n = 0; n < cuts_.size(); n++) cut_before[n + 1] = cut_before[n] + cuts_[n].size;
    for (const uint64_t dentry : parents_) {
      uint8_t* const field = from.data() + dentry + kSubdirectoryAt;
      const uint64_t old = Load64(field);
      const auto after = std::lower_bound(cuts_.begin(), cuts_.end(), old,
                                          [](const Cut& cut, uint64_t at) { return cut.offset < at; });
      const uint64_t offset = old - cut_before[static_cast<size_t>(after - cuts_.begin())];
      Put32(field, static_cast<uint32_t>(offset));
      Put32(field + 4, static_cast<uint32_t>(offset >> 32));
    }
    std::vector<uint8_t> to;
    to.reserve(from.size() - cut_before.back());
    uint64_t done = 0;
    for (const Cut& cut : cuts_) {
      to.insert(to.end(), from.begin() + static_cast<ptrdiff_t>(done),
                from.begin() + static_cast<ptrdiff_t>(cut.offset));
      done = cut.offset + cut.size;
    }
    to.insert(to.end(), from.begin() + static_cast<ptrdiff_t>(done), from.end());
    return to;
  }

 private:
  static constexpr uint64_t kDamaged = 0;
  // What ends a directory, and its size.
  static constexpr uint64_t kEnd = 8;

  bool Has(uint64_t offset, uint64_t size) const { return offset <= bytes_.size() && size <= bytes_.size() - offset; }

  // The size of a dentry with its streams, kEnd or kDamaged.
  uint64_t Dentry(uint64_t offset, uint64_t* subdirectory) {
    if (!Has(offset, kEnd)) return kDamaged;
    const uint8_t* const bytes = bytes_.data() + offset;
    const uint64_t length = Load64(bytes);
    if (length <= kEnd) return kEnd;
    // Each dentry has bytes of its own: more of them means that directories overlap
    if (length < kDentrySize || !Has(offset, length) || ++dentries_ * kDentrySize > bytes_.size()) return kDamaged;
    *subdirectory = Load64(bytes + kSubdirectoryAt);
    if (*subdirectory != 0) parents_.push_back(offset);
    const uint16_t count = Load16(bytes + kStreamCountAt);
    const uint64_t streams = offset + Align8(length);
    uint64_t end = streams;
    uint32_t empty = 0;
    uint64_t unnamed = 0;
    const size_t first_cut = cuts_.size();
    for (uint16_t n = 0; n < count; n++) {
      if (!Has(end, kStreamEntrySize)) return kDamaged;
      const uint64_t size = Load64(bytes_.data() + end);
      if (size < kStreamEntrySize || !Has(end, size) || !Has(end, Align8(size))) return kDamaged;
      if (Load16(bytes_.data() + end + kStreamNameSizeAt) == 0) {
        if (IsZeroHash(bytes_.data() + end + kStreamHashAt)) {
          cuts_.push_back({end, Align8(size)});
          empty++;
        } else {
          unnamed = end;
        }
      }
      end += Align8(size);
    }
    const uint32_t attributes = Load32(bytes + kAttributesAt);
    const bool wrong = empty > 0 && (attributes & kAttributeDirectory) && !(attributes & kAttributeEncrypted) &&
                       IsZeroHash(bytes + kMainHashAt);
    if (!wrong) {
      cuts_.resize(first_cut);
    } else if (unnamed != 0 && count - empty == 1) {
      cuts_.resize(first_cut);
      cuts_.push_back({streams, end - streams});
      changes_.push_back({offset, 0, unnamed + kStreamHashAt});
    } else {
      changes_.push_back({offset, static_cast<uint16_t>(count - empty), 0});
    }
    return end - offset;
  }

  const std::vector<uint8_t>& bytes_;
  uint64_t dentries_ = 0;
  // Dentries with an offset of children.
  std::vector<uint64_t> parents_;
  std::vector<Change> changes_;
  std::vector<Cut> cuts_;
};

}  // namespace

std::optional<std::vector<uint8_t>> MendDirectoryStreams(const std::vector<uint8_t>& metadata) {
  Scan scan(metadata);
  if (!scan.Run() || scan.right()) return std::nullopt;
  return scan.Mended();
}

}  // namespace stowage::wim
