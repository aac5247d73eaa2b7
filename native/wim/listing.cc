#include "listing.h"

#include <algorithm>
#include <future>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "../base/error.h"
#include "../base/little_endian.h"
#include "entry_json.h"
#include "entry_pack.h"
#include "library.h"
#include "text.h"

namespace stowage::wim {

namespace {

// The fields of `unix_data`, each of 4 bytes.
constexpr uint32_t kUnixDataSize = 16;
constexpr uint32_t kGuidSize = 16;
constexpr uint32_t kObjectIdSize = 64;

// As libwim describes it.
wimlib_resource_entry ResourceEntryOf(const BlobTable& table, const Blob& blob) {
  const Resource& resource = table.resources()[blob.resource];
  wimlib_resource_entry entry = {};
  std::copy(blob.hash.begin(), blob.hash.end(), entry.sha1_hash);
  entry.uncompressed_size = blob.size;
  entry.part_number = resource.part;
  entry.reference_count = blob.references;
  entry.is_compressed = !resource.solid && resource.compression != WIMLIB_COMPRESSION_TYPE_NONE;
  entry.packed = resource.solid;
  entry.offset = resource.solid ? blob.offset : resource.offset;
  entry.compressed_size = resource.solid ? 0 : resource.size_in_wim;
  entry.raw_resource_offset_in_wim = resource.offset;
  entry.raw_resource_compressed_size = resource.size_in_wim;
  entry.raw_resource_uncompressed_size = resource.size;
  return entry;
}

class ImageListing {
 public:
  ImageListing(const Archive& archive, uint32_t image, int flags, Observer& observer)
      : archive_(archive), metadata_(archive.ReadMetadata(image)), image_(image), flags_(flags), observer_(observer) {}

  // Finds what is to be listed. False if libwim treats a name specially and these must not be dropped. Throws
  // WIMLIB_ERR_PATH_DOES_NOT_EXIST.
  bool Prepare(const std::string& path, OddNames odd) {
    if (!Gather()) {
      if (odd == OddNames::kLeft) return false;
      GatherWithoutOdd();
    }
    CountLinks();
    Order(Find(path));
    return true;
  }

  size_t size() const { return places_.size(); }

  // Adds the entries from `from` to `to`. Several threads may call it.
  template <typename Format>
  void Write(size_t from, size_t to, Format* format) const {
    EntryFacts facts;
    std::string object_id;
    for (size_t n = from; n < to; n++) {
      if (n % 1024 == 0 && observer_.cancelled()) throw Error("ABORTED", "interrupted before the end");
      const Place& place = places_[n];
      facts.path.assign(paths_, place.path, place.path_size);
      facts.name_size = place.name_size;
      facts.depth = place.depth;
      Describe(metadata_.dentries()[place.index], &facts, &object_id);
      format->Add(facts);
    }
  }

 private:
  // A directory's children among order_.
  struct Children {
    uint32_t first = 0;
    uint32_t count = 0;
  };
  // An entry: a dentry, and its path among all paths.
  struct Place {
    uint32_t index;
    uint32_t path_size;
    uint32_t name_size;
    uint32_t depth;
    size_t path;
  };

  // The dentry at `path`.
  uint32_t Find(const std::string& path) const {
    uint32_t index = 0;
    for (size_t at = 0; at < path.size();) {
      const size_t end = std::min(path.find('/', at), path.size());
      if (end > at) {
        const auto child = ChildOf(index, Utf16FromWtf8(std::string_view(path).substr(at, end - at)));
        if (!child)
          throw Error("WIMLIB_ERR_PATH_DOES_NOT_EXIST",
                      path + " does not exist in image " + std::to_string(image_) + " of " + archive_.path());
        index = *child;
      }
      at = end + 1;
    }
    return index;
  }

  std::optional<uint32_t> ChildOf(uint32_t directory, const std::u16string& name) const {
    std::optional<uint32_t> other_case;
    const auto [first, count] = children_[directory];
    for (uint32_t n = first; n < first + count; n++) {
      const std::string_view units = Units(metadata_.dentries()[order_[n]].name);
      if (units.size() != 2 * name.size()) continue;
      bool same = true;
      bool same_but_case = true;
      for (size_t unit = 0; unit < name.size() && same_but_case; unit++) {
        const uint32_t own = UnitAt(units, 2 * unit);
        same = same && own == name[unit];
        same_but_case = Upper(own) == Upper(name[unit]);
      }
      if (!same_but_case) continue;
      if (same) return order_[n];
      if (!other_case) other_case = order_[n];
    }
    return IgnoresCase() ? other_case : std::nullopt;
  }

  // Depth first, as libwim lists them.
  void Order(uint32_t start) {
    struct Ahead {
      uint32_t index;
      uint32_t depth;
      // Of the path of its directory.
      size_t above;
      size_t above_size;
    };
    std::vector<Ahead> ahead;
    const auto descend = [&](uint32_t index, uint32_t depth, size_t path, size_t path_size) {
      const auto [first, count] = children_[index];
      for (uint32_t n = count; n > 0; n--)
        ahead.push_back({order_[first + n - 1], depth + 1, path, index == 0 ? 0 : path_size});
    };
    const auto place = [&](const Ahead& next) {
      const size_t at = paths_.size();
      paths_.append(paths_, next.above, next.above_size);
      paths_ += '/';
      const size_t name = paths_.size();
      if (next.index != 0) AppendText(metadata_.dentries()[next.index].name, &paths_);
      places_.push_back({next.index, static_cast<uint32_t>(paths_.size() - at),
                         static_cast<uint32_t>(paths_.size() - name), next.depth, at});
      return at;
    };
    paths_ += PathAbove(start);
    const Ahead first = {start, DepthOf(start), 0, paths_.size()};
    const size_t at = place(first);
    if (flags_ & (WIMLIB_ITERATE_DIR_TREE_FLAG_RECURSIVE | WIMLIB_ITERATE_DIR_TREE_FLAG_CHILDREN))
      descend(start, first.depth, at, places_.front().path_size);
    if (flags_ & WIMLIB_ITERATE_DIR_TREE_FLAG_CHILDREN) places_.clear();
    while (!ahead.empty()) {
      const Ahead next = ahead.back();
      ahead.pop_back();
      const size_t path = place(next);
      if (flags_ & WIMLIB_ITERATE_DIR_TREE_FLAG_RECURSIVE)
        descend(next.index, next.depth, path, places_.back().path_size);
    }
  }

  // Of the directory of dentry `index`, without a slash at its end.
  std::string PathAbove(uint32_t index) const {
    std::vector<uint32_t> directories;
    for (uint32_t at = index; at != 0; at = metadata_.dentries()[at].parent)
      if (metadata_.dentries()[at].parent != 0) directories.push_back(metadata_.dentries()[at].parent);
    std::string path;
    for (auto directory = directories.rbegin(); directory != directories.rend(); ++directory) {
      path += '/';
      AppendText(metadata_.dentries()[*directory].name, &path);
    }
    return path;
  }

  uint32_t DepthOf(uint32_t index) const {
    uint32_t depth = 0;
    for (; index != 0; index = metadata_.dentries()[index].parent) depth++;
    return depth;
  }

  // Notes where the children of each directory are. False if libwim treats a name specially.
  bool Gather() {
    const auto& dentries = metadata_.dentries();
    if (dentries.empty() || dentries[0].name.size != 0) return false;
    children_.assign(dentries.size(), {});
    order_.resize(dentries.size());
    size_t size = 0;
    for (uint32_t index = 0; index < dentries.size(); index++) {
      order_[index] = index;
      if (index == 0) continue;
      Children& siblings = children_[dentries[index].parent];
      if (siblings.count == 0) siblings.first = index;
      if (siblings.first + siblings.count != index) return false;
      const std::string_view name = Units(dentries[index].name);
      if (!IsOrdinary(name)) return false;
      if (siblings.count > 0 && !IsBefore(Units(dentries[index - 1].name), name)) return false;
      siblings.count += 1;
      size += name.size();
    }
    paths_.reserve(size * 4);
    places_.reserve(dentries.size());
    return true;
  }

  // The same without the names that libwim drops, and with the others in order: that of libwim but for letters outside
  // ASCII, whose upper case only libwim knows.
  void GatherWithoutOdd() {
    const auto& dentries = metadata_.dentries();
    children_.assign(dentries.size(), {});
    order_.clear();
    for (uint32_t index = 1; index < dentries.size(); index++) {
      if (IsOrdinary(Units(dentries[index].name))) order_.push_back(index);
    }
    const auto before = [&](uint32_t a, uint32_t b) {
      if (dentries[a].parent != dentries[b].parent) return dentries[a].parent < dentries[b].parent;
      return Compare(Units(dentries[a].name), Units(dentries[b].name)) < 0;
    };
    std::stable_sort(order_.begin(), order_.end(), before);
    const auto repeats = [&](uint32_t a, uint32_t b) {
      return dentries[a].parent == dentries[b].parent && Units(dentries[a].name) == Units(dentries[b].name);
    };
    order_.erase(std::unique(order_.begin(), order_.end(), repeats), order_.end());
    for (uint32_t n = 0; n < order_.size(); n++) {
      Children& siblings = children_[dentries[order_[n]].parent];
      if (siblings.count == 0) siblings.first = n;
      siblings.count += 1;
    }
  }

  // How many names each file has.
  void CountLinks() {
    const auto count = [&](uint32_t index) {
      const uint64_t group = metadata_.dentries()[index].link_group;
      if (group != 0) links_[group] += 1;
    };
    for (const uint32_t index : order_) count(index);
    if (order_.empty() || order_.front() != 0) count(0);
  }

  static uint32_t UnitAt(std::string_view name, size_t at) {
    return static_cast<uint32_t>(static_cast<uint8_t>(name[at]) | static_cast<uint8_t>(name[at + 1]) << 8);
  }

  static uint32_t Upper(uint32_t unit) { return unit >= 'a' && unit <= 'z' ? unit - 32 : unit; }

  // By units in upper case, then by units as they are: negative if `a` comes first.
  static int Compare(std::string_view a, std::string_view b) {
    const auto sign = [](uint32_t one, uint32_t two) { return one < two ? -1 : 1; };
    for (size_t at = 0; at + 1 < std::min(a.size(), b.size()); at += 2) {
      const uint32_t one = Upper(UnitAt(a, at));
      const uint32_t two = Upper(UnitAt(b, at));
      if (one != two) return sign(one, two);
    }
    if (a.size() != b.size()) return a.size() < b.size() ? -1 : 1;
    for (size_t at = 0; at + 1 < a.size(); at += 2) {
      if (UnitAt(a, at) != UnitAt(b, at)) return sign(UnitAt(a, at), UnitAt(b, at));
    }
    return 0;
  }

  // Whether libwim lists `a` before `b`. Also false if a letter outside ASCII decides, because only libwim knows its
  // upper case.
  static bool IsBefore(std::string_view a, std::string_view b) {
    for (size_t at = 0; at + 1 < std::min(a.size(), b.size()); at += 2) {
      const uint32_t one = Upper(UnitAt(a, at));
      const uint32_t two = Upper(UnitAt(b, at));
      if (one != two) return one < two && two < 0x80;
    }
    return Compare(a, b) < 0;
  }

  // UTF-16LE.
  std::string_view Units(const Span& span) const {
    return {reinterpret_cast<const char*>(metadata_.bytes(span)), span.size};
  }

  static bool IsOrdinary(std::string_view name) {
    using namespace std::string_view_literals;
    if (name.empty() || name == ".\0"sv || name == ".\0.\0"sv) return false;
    for (size_t at = 0; at + 1 < name.size(); at += 2) {
      if (name[at] == 0 && name[at + 1] == 0) return false;
    }
    return true;
  }

  void AppendText(const Span& span, std::string* to) const {
    const uint8_t* bytes = metadata_.bytes(span);
    std::u16string units;
    for (uint32_t at = 0; at + 1 < span.size; at += 2) {
      const auto unit = static_cast<char16_t>(bytes[at] | bytes[at + 1] << 8);
      if (unit < 0x80 && units.empty()) {
        to->push_back(static_cast<char>(unit));
      } else {
        units.push_back(unit);
      }
    }
    if (!units.empty()) *to += Wtf8FromUtf16(units);
  }

  void Describe(const Dentry& dentry, EntryFacts* facts, std::string* object_id) const {
    facts->short_name.clear();
    AppendText(dentry.short_name, &facts->short_name);
    facts->attributes = dentry.attributes;
    facts->reparse_tag = dentry.reparse_tag;
    facts->created = dentry.creation_time;
    facts->written = dentry.write_time;
    facts->accessed = dentry.access_time;
    facts->link_group = dentry.link_group;
    facts->link_count = dentry.link_group == 0 ? 1 : links_.at(dentry.link_group);
    facts->unix_data.reset();
    if (dentry.unix_data.size >= kUnixDataSize) {
      const uint8_t* bytes = metadata_.bytes(dentry.unix_data);
      if (Load32(bytes + 8) != 0) {
        facts->unix_data = {Load32(bytes), Load32(bytes + 4), Load32(bytes + 8), Load32(bytes + 12)};
      }
    }
    object_id->clear();
    if (dentry.object_id.size >= kGuidSize) {
      *object_id = Units(dentry.object_id).substr(0, kObjectIdSize);
      object_id->resize(kObjectIdSize);  // what is not stored is zero
    }
    facts->object_id = *object_id;
    facts->security = {};
    if (dentry.security >= 0) facts->security = Units(metadata_.security()[static_cast<size_t>(dentry.security)]);
    DescribeStreams(dentry, facts);
  }

  void DescribeStreams(const Dentry& dentry, EntryFacts* facts) const {
    const Stream::Type main = dentry.attributes & kAttributeEncrypted      ? Stream::Type::kEncrypted
                              : dentry.attributes & kAttributeReparsePoint ? Stream::Type::kReparse
                                                                           : Stream::Type::kData;
    facts->streams.clear();
    facts->streams.emplace_back();
    for (uint32_t n = 0; n < dentry.stream_count; n++) {
      const Stream& stream = metadata_.streams()[dentry.first_stream + n];
      if (stream.name.size == 0) {
        if (stream.type == main) facts->streams.front() = Describe(stream);
      } else if (stream.type == Stream::Type::kData) {
        facts->streams.push_back(Describe(stream));
      }
    }
  }

  EntryFacts::Stream Describe(const Stream& stream) const {
    EntryFacts::Stream described = {};
    AppendText(stream.name, &described.name);
    if (IsZero(stream.hash)) return described;
    const BlobTable& table = archive_.blobs();
    if (const auto blob = table.Find(stream.hash)) {
      described.resource = ResourceEntryOf(table, table.blobs()[*blob]);
    } else if (flags_ & WIMLIB_ITERATE_DIR_TREE_FLAG_RESOURCES_NEEDED) {
      throw Error("WIMLIB_ERR_RESOURCE_NOT_FOUND", "the blob " + Hex(stream.hash) + " of image " +
                                                       std::to_string(image_) + " is not in " + archive_.path());
    } else {
      std::copy(stream.hash.begin(), stream.hash.end(), described.resource.sha1_hash);
      described.resource.is_missing = 1;
    }
    return described;
  }

  const Archive& archive_;
  const Metadata metadata_;
  const uint32_t image_;
  const int flags_;
  Observer& observer_;
  // Indexes of dentries: the children of each directory together, in order.
  std::vector<uint32_t> order_;
  // By the index of the directory.
  std::vector<Children> children_;
  std::unordered_map<uint64_t, uint32_t> links_;
  std::string paths_;
  std::vector<Place> places_;
};

}  // namespace

std::optional<Value> ListImages(const Archive& archive, const ListingScope& scope, OddNames odd, Observer& observer) {
  EntryPack entries;
  for (const uint32_t image : scope.images) {
    ImageListing listing(archive, image, scope.flags, observer);
    if (!listing.Prepare(scope.path, odd)) return std::nullopt;
    listing.Write(0, listing.size(), &entries);
  }
  return entries.Take();
}

std::optional<Value> ListImagesAsJson(const Archive& archive, const ListingScope& scope, OddNames odd,
                                      Observer& observer) {
  List list;
  for (const uint32_t image : scope.images) {
    ImageListing listing(archive, image, scope.flags, observer);
    if (!listing.Prepare(scope.path, odd)) return std::nullopt;
    const auto write = [&](size_t from, size_t to, bool first) {
      EntryJson json(first ? EntryJson::Start::kFirst : EntryJson::Start::kContinued);
      listing.Write(from, to, &json);
      return json.Take();
    };
    const size_t half = listing.size() / 2;
    const bool first = list.empty();
    // `deferred` too: if no thread can be started, this one does the work.
    auto rest = std::async(std::launch::async | std::launch::deferred, write, half, listing.size(), first && half == 0);
    for (Value& piece : write(0, half, first)) list.push_back(std::move(piece));
    for (Value& piece : rest.get()) list.push_back(std::move(piece));
  }
  return list;
}

Value ListBlobs(const BlobTable& table) {
  Bytes records;
  const auto add = [&](const Blob& blob, bool metadata) {
    wimlib_resource_entry entry = ResourceEntryOf(table, blob);
    entry.is_metadata = metadata;
    PackResource(entry, &records);
  };
  for (const Blob& blob : table.metadata()) add(blob, true);
  for (const Blob& blob : table.blobs()) add(blob, false);
  return records;
}

}  // namespace stowage::wim
