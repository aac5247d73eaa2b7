#include "listing.h"

#include <algorithm>
#include <future>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../base/error.h"
#include "../base/little_endian.h"
#include "entry_json.h"
#include "entry_pack.h"
#include "image_tree.h"
#include "library.h"
#include "limits.h"
#include "text.h"

namespace stowage::wim {

namespace {

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
      : archive_(archive),
        tree_(archive.ReadMetadata(image), archive.path() + ": image " + std::to_string(image)),
        image_(image),
        flags_(flags),
        observer_(observer) {}

  // False if libwim treats a name specially, and orders by what only libwim knows.
  bool IsOrdinary() const {
    const auto& dentries = tree_.metadata().dentries();
    if (dentries.empty() || dentries[0].name.size != 0) return false;
    for (uint32_t index = 1; index < dentries.size(); index++) {
      const std::string_view name = Units(dentries[index].name);
      if (!IsOrdinary(name)) return false;
      if (dentries[index].parent == dentries[index - 1].parent && !IsBefore(Units(dentries[index - 1].name), name))
        return false;
    }
    return true;
  }

  // Finds what is to be listed. Throws WIMLIB_ERR_PATH_DOES_NOT_EXIST.
  void Prepare(const std::string& path) {
    if (tree_.empty()) return;
    tree_.Walk(0, [&](uint32_t node) { names_[tree_.FileOf(node)] += 1; });
    const auto found = tree_.Find(path, IgnoresCase() ? ImageTree::Case::kInsensitive : ImageTree::Case::kSensitive);
    if (found.empty())
      throw Error("WIMLIB_ERR_PATH_DOES_NOT_EXIST",
                  path + " does not exist in image " + std::to_string(image_) + " of " + archive_.path());
    Order(found.front());
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
      Describe(place.node, &facts, &object_id);
      format->Add(facts);
    }
  }

 private:
  // An entry: a node of the tree, and its path among all paths.
  struct Place {
    uint32_t node;
    uint32_t path_size;
    uint32_t name_size;
    uint32_t depth;
    size_t path;
  };

  // Depth first from `start`, as libwim lists them.
  void Order(uint32_t start) {
    places_.reserve(tree_.size());
    // Of each node that was walked, its place in the list with the start.
    std::vector<uint32_t> place_of(tree_.size());
    const BlobTable& table = archive_.blobs();
    const uint64_t most = kMostPathBytes + kPathRatio * table.resources()[table.metadata()[image_ - 1].resource].size;
    const bool recursive = flags_ & WIMLIB_ITERATE_DIR_TREE_FLAG_RECURSIVE;
    const uint32_t deepest = recursive ? UINT32_MAX : flags_ & WIMLIB_ITERATE_DIR_TREE_FLAG_CHILDREN ? 1 : 0;
    const auto add = [&](uint32_t node, size_t above, size_t above_size, uint32_t depth) {
      const size_t at = paths_.size();
      paths_.append(paths_, above, above_size);
      paths_ += '/';
      const size_t name = paths_.size();
      if (node != 0) AppendText(tree_.dentry(node).name, &paths_);
      place_of[node] = static_cast<uint32_t>(places_.size());
      if (paths_.size() > most)
        throw Error("WIM_CORRUPT", archive_.path() + ": the metadata of image " + std::to_string(image_) +
                                       " has paths longer than any system allows");
      places_.push_back(
          {node, static_cast<uint32_t>(paths_.size() - at), static_cast<uint32_t>(paths_.size() - name), depth, at});
    };
    uint32_t depth = 0;
    for (uint32_t node = start; node != 0; node = tree_.dentry(node).parent) depth++;
    if (depth > 1) paths_ = tree_.PathOf(tree_.dentry(start).parent);
    add(start, 0, paths_.size(), depth);
    if (deepest > 0) {
      tree_.Walk(start, [&](uint32_t node) {
        if (node == start) return;
        const uint32_t parent = tree_.dentry(node).parent;
        if (deepest == 1 && parent != start) return;
        const Place above = places_[place_of[parent]];
        add(node, above.path, parent == 0 ? 0 : above.path_size, above.depth + 1);
      });
    }
    if (flags_ & WIMLIB_ITERATE_DIR_TREE_FLAG_CHILDREN) places_.erase(places_.begin());
  }

  static uint32_t UnitAt(std::string_view name, size_t at) {
    return static_cast<uint32_t>(static_cast<uint8_t>(name[at]) | static_cast<uint8_t>(name[at + 1]) << 8);
  }

  // Whether libwim lists `a` before `b`: by units in upper case, then by units as they are. Also false if a letter
  // outside ASCII decides, because only libwim knows its upper case.
  static bool IsBefore(std::string_view a, std::string_view b) {
    const auto upper = [](uint32_t unit) { return unit >= 'a' && unit <= 'z' ? unit - 32 : unit; };
    for (size_t at = 0; at + 1 < std::min(a.size(), b.size()); at += 2) {
      const uint32_t one = upper(UnitAt(a, at));
      const uint32_t two = upper(UnitAt(b, at));
      if (one != two) return one < two && two < 0x80;
    }
    if (a.size() != b.size()) return a.size() < b.size();
    for (size_t at = 0; at + 1 < a.size(); at += 2) {
      if (UnitAt(a, at) != UnitAt(b, at)) return UnitAt(a, at) < UnitAt(b, at);
    }
    return false;  // the same name twice
  }

  // UTF-16LE.
  std::string_view Units(const Span& span) const {
    return {reinterpret_cast<const char*>(tree_.metadata().bytes(span)), span.size};
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
    const uint8_t* bytes = tree_.metadata().bytes(span);
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

  void Describe(uint32_t node, EntryFacts* facts, std::string* object_id) const {
    const Dentry& dentry = tree_.dentry(node);
    facts->short_name.clear();
    AppendText(dentry.short_name, &facts->short_name);
    facts->attributes = dentry.attributes;
    facts->reparse_tag = dentry.reparse_tag;
    facts->created = dentry.creation_time;
    facts->written = dentry.write_time;
    facts->accessed = dentry.access_time;
    facts->link_group = dentry.link_group;
    facts->link_count = names_.at(tree_.FileOf(node));
    facts->unix_data.reset();
    if (dentry.unix_data.size >= kUnixDataSize) {
      const uint8_t* bytes = tree_.metadata().bytes(dentry.unix_data);
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
    if (dentry.security >= 0)
      facts->security = Units(tree_.metadata().security()[static_cast<size_t>(dentry.security)]);
    DescribeStreams(dentry, facts);
  }

  void DescribeStreams(const Dentry& dentry, EntryFacts* facts) const {
    const Stream::Type main = dentry.attributes & kAttributeEncrypted      ? Stream::Type::kEncrypted
                              : dentry.attributes & kAttributeReparsePoint ? Stream::Type::kReparse
                                                                           : Stream::Type::kData;
    facts->streams.clear();
    facts->streams.emplace_back();
    for (uint32_t n = 0; n < dentry.stream_count; n++) {
      const Stream& stream = tree_.metadata().streams()[dentry.first_stream + n];
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
  const ImageTree tree_;
  const uint32_t image_;
  const int flags_;
  Observer& observer_;
  // By the first name of each file, how many it has.
  std::vector<uint32_t> names_ = std::vector<uint32_t>(tree_.size());
  std::string paths_;
  std::vector<Place> places_;
};

}  // namespace

std::optional<Value> ListImages(const Archive& archive, const ListingScope& scope, OddNames odd, Observer& observer) {
  EntryPack entries;
  for (const uint32_t image : scope.images) {
    ImageListing listing(archive, image, scope.flags, observer);
    if (odd == OddNames::kLeft && !listing.IsOrdinary()) return std::nullopt;
    listing.Prepare(scope.path);
    listing.Write(0, listing.size(), &entries);
  }
  return entries.Take();
}

std::optional<Value> ListImagesAsJson(const Archive& archive, const ListingScope& scope, OddNames odd,
                                      Observer& observer) {
  List list;
  for (const uint32_t image : scope.images) {
    ImageListing listing(archive, image, scope.flags, observer);
    if (odd == OddNames::kLeft && !listing.IsOrdinary()) return std::nullopt;
    listing.Prepare(scope.path);
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
