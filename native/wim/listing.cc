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
#include "text.h"

namespace stowage::wim {

namespace {

// The fields of `unix_data`, each of 4 bytes.
constexpr uint32_t kUnixDataSize = 16;
constexpr uint32_t kGuidSize = 16;
constexpr uint32_t kObjectIdSize = 64;

class ImageListing {
 public:
  ImageListing(const Archive& archive, const Metadata& metadata, Observer& observer)
      : archive_(archive), metadata_(metadata), observer_(observer), children_(metadata.dentries().size()) {}

  std::optional<Value> Run() {
    if (!Gather()) return std::nullopt;
    Order();
    const size_t half = places_.size() / 2;
    // `deferred` too: if no thread can be started, this one does the work.
    auto rest = std::async(std::launch::async | std::launch::deferred, [&] { return Write(half, places_.size()); });
    List list = Write(0, half);
    for (Value& piece : rest.get()) list.push_back(std::move(piece));
    return list;
  }

 private:
  struct Children {
    uint32_t first = 0;
    uint32_t count = 0;
  };
  // A line: a dentry, and its path among all paths.
  struct Place {
    uint32_t index;
    uint32_t path_size;
    size_t path;
  };

  // Depth first, as libwim lists them.
  void Order() {
    // What is left to list, with the path of its directory.
    std::vector<std::pair<uint32_t, std::pair<size_t, size_t>>> ahead = {{0, {0, 0}}};
    while (!ahead.empty()) {
      const auto [index, above] = ahead.back();
      ahead.pop_back();
      const size_t at = paths_.size();
      paths_.append(paths_, above.first, above.second);
      paths_ += '/';
      AppendText(metadata_.dentries()[index].name, &paths_);
      places_.push_back({index, static_cast<uint32_t>(paths_.size() - at), at});
      const size_t own = index == 0 ? 0 : paths_.size() - at;
      const auto [first, count] = children_[index];
      for (uint32_t n = count; n > 0; n--) ahead.push_back({first + n - 1, {at, own}});
    }
  }

  List Write(size_t from, size_t to) const {
    EntryJson json(from > 0 ? EntryJson::Start::kContinued : EntryJson::Start::kFirst);
    EntryFacts facts;
    std::string object_id;
    for (size_t n = from; n < to; n++) {
      if (n % 1024 == 0 && observer_.cancelled()) throw Error("ABORTED", "interrupted before the end");
      const Place& place = places_[n];
      facts.path.assign(paths_, place.path, place.path_size);
      Describe(metadata_.dentries()[place.index], &facts, &object_id);
      json.Add(facts);
    }
    return json.Take();
  }

  // Notes where the children of each directory are and how many names each file has. False if libwim treats a name
  // specially.
  bool Gather() {
    const auto& dentries = metadata_.dentries();
    if (dentries.empty() || dentries[0].name.size != 0) return false;
    size_t size = 0;
    for (uint32_t index = 0; index < dentries.size(); index++) {
      const Dentry& dentry = dentries[index];
      if (dentry.link_group != 0) links_[dentry.link_group] += 1;
      if (index == 0) continue;
      Children& siblings = children_[dentry.parent];
      if (siblings.count == 0) siblings.first = index;
      if (siblings.first + siblings.count != index) return false;
      const std::string_view name = Units(dentry.name);
      if (!IsOrdinary(name)) return false;
      if (siblings.count > 0 && !IsBefore(Units(dentries[index - 1].name), name)) return false;
      siblings.count += 1;
      size += name.size();
    }
    paths_.reserve(size * 4);
    places_.reserve(dentries.size());
    return true;
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
    EntryFacts::Stream described;
    AppendText(stream.name, &described.name);
    if (IsZero(stream.hash)) return described;
    described.sha1 = stream.hash.data();
    const auto blob = archive_.blobs().Find(stream.hash);
    described.missing = !blob;
    if (blob) described.size = archive_.blobs().blobs()[*blob].size;
    return described;
  }

  const Archive& archive_;
  const Metadata& metadata_;
  Observer& observer_;
  std::vector<Children> children_;
  std::unordered_map<uint64_t, uint32_t> links_;
  std::string paths_;
  std::vector<Place> places_;
};

}  // namespace

std::optional<Value> ListImageAsJson(const Archive& archive, uint32_t image, Observer& observer) {
  const Metadata metadata = archive.ReadMetadata(image);
  return ImageListing(archive, metadata, observer).Run();
}

}  // namespace stowage::wim
