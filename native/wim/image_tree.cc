#include "image_tree.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "../base/error.h"
#include "../base/little_endian.h"
#include "text.h"

namespace stowage::wim {

namespace {

using namespace std::string_view_literals;

// Of ASCII only: the upper case of other letters decides nothing but the order of names that are alike otherwise.
uint32_t Upper(uint32_t unit) { return unit >= 'a' && unit <= 'z' ? unit - 32 : unit; }

uint32_t UnitAt(std::string_view units, size_t at) {
  return Load16(reinterpret_cast<const uint8_t*>(units.data()) + at);
}

int Compare(std::string_view a, std::string_view b, ImageTree::Case sensitivity) {
  for (size_t at = 0; at + 1 < std::min(a.size(), b.size()); at += 2) {
    uint32_t one = UnitAt(a, at);
    uint32_t two = UnitAt(b, at);
    if (sensitivity == ImageTree::Case::kInsensitive) {
      one = Upper(one);
      two = Upper(two);
    }
    if (one != two) return one < two ? -1 : 1;
  }
  return a.size() == b.size() ? 0 : a.size() < b.size() ? -1 : 1;
}

// By units in upper case, then by units as they are.
bool IsBefore(std::string_view a, std::string_view b) {
  const int insensitive = Compare(a, b, ImageTree::Case::kInsensitive);
  return insensitive != 0 ? insensitive < 0 : Compare(a, b, ImageTree::Case::kSensitive) < 0;
}

std::vector<std::string> ComponentsOf(const std::string& path) {
  std::vector<std::string> components;
  for (size_t at = 0; at < path.size();) {
    const size_t begin = path.find_first_not_of("/\\", at);
    if (begin == std::string::npos) break;
    at = std::min(path.find_first_of("/\\", begin), path.size());
    components.push_back(path.substr(begin, at - begin));
  }
  return components;
}

std::string Units16(const std::string& text) {
  std::string units;
  for (const char16_t unit : Utf16FromWtf8(text)) {
    units += static_cast<char>(unit & 0xff);
    units += static_cast<char>(unit >> 8);
  }
  return units;
}

// Goes back to the last '*' alone when it fails, so that no pattern takes more than the product of both sizes.
bool Matches(std::string_view name, std::string_view pattern, ImageTree::Case sensitivity) {
  const auto same = [&](char a, char b) {
    return sensitivity == ImageTree::Case::kSensitive
               ? a == b
               : Upper(static_cast<uint8_t>(a)) == Upper(static_cast<uint8_t>(b));
  };
  size_t at = 0;
  size_t next = 0;
  size_t star = std::string_view::npos;
  size_t covered = 0;
  while (at < name.size()) {
    if (next < pattern.size() && pattern[next] == '*') {
      star = next++;
      covered = at;
    } else if (next < pattern.size() && (pattern[next] == '?' || same(name[at], pattern[next]))) {
      at++;
      next++;
    } else if (star != std::string_view::npos) {
      next = star + 1;
      at = ++covered;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', next) == std::string_view::npos;
}

}  // namespace

ImageTree::ImageTree(Metadata metadata, const std::string& where) : metadata_(std::move(metadata)) {
  if (empty()) return;
  if (!IsDirectory(0)) throw Error("WIM_CORRUPT", where + " has a root that is no directory");
  GatherChildren();
  GatherFiles();
}

bool ImageTree::IsDirectory(uint32_t node) const {
  return (dentry(node).attributes & (kAttributeDirectory | kAttributeReparsePoint)) == kAttributeDirectory;
}

void ImageTree::GatherChildren() {
  const auto& dentries = metadata_.dentries();
  children_.resize(dentries.size());
  // The metadata has a directory's children together.
  order_.reserve(dentries.size());
  for (uint32_t index = 1; index < dentries.size();) {
    const uint32_t parent = dentries[index].parent;
    const auto first = order_.size();
    for (; index < dentries.size() && dentries[index].parent == parent; index++) {
      const std::string_view name = Units(index);
      if (name.empty() || name == ".\0"sv || name == ".\0.\0"sv || !IsDirectory(parent)) continue;
      order_.push_back(index);
    }
    const auto begin = order_.begin() + static_cast<ptrdiff_t>(first);
    const auto before = [this](uint32_t a, uint32_t b) { return IsBefore(Units(a), Units(b)); };
    if (!std::is_sorted(begin, order_.end(), before)) std::stable_sort(begin, order_.end(), before);
    const auto same = [this](uint32_t a, uint32_t b) { return Units(a) == Units(b); };
    order_.erase(std::unique(begin, order_.end(), same), order_.end());
    children_[parent] = {static_cast<uint32_t>(first), static_cast<uint32_t>(order_.size() - first)};
  }
}

void ImageTree::GatherFiles() {
  files_.resize(size());
  for (uint32_t node = 0; node < files_.size(); node++) files_[node] = node;
  std::unordered_map<uint64_t, std::vector<uint32_t>> groups;
  const auto content = [this](uint32_t node) {
    const Stream* const stream = UnnamedStream(node, Stream::Type::kData);
    return stream == nullptr ? Sha1Hash{} : stream->hash;
  };
  Walk(0, [&](uint32_t node) {
    const uint64_t group = dentry(node).link_group;
    if (group == 0 || (dentry(node).attributes & kAttributeDirectory)) return;
    std::vector<uint32_t>& files = groups[group];
    for (const uint32_t file : files) {
      if (content(file) != content(node)) continue;
      files_[node] = file;
      return;
    }
    files.push_back(node);
  });
}

const Stream* ImageTree::UnnamedStream(uint32_t node, Stream::Type type) const {
  for (uint32_t n = 0; n < dentry(node).stream_count; n++) {
    const Stream& stream = metadata_.streams()[dentry(node).first_stream + n];
    if (stream.name.size == 0 && stream.type == type) return &stream;
  }
  return nullptr;
}

std::string_view ImageTree::Units(uint32_t node) const {
  const Span& name = dentry(node).name;
  return {reinterpret_cast<const char*>(metadata_.bytes(name)), name.size};
}

std::string ImageTree::NameOf(uint32_t node) const {
  const std::string_view units = Units(node);
  std::u16string name;
  name.reserve(units.size() / 2);
  for (size_t at = 0; at + 1 < units.size(); at += 2) name += static_cast<char16_t>(UnitAt(units, at));
  return Wtf8FromUtf16(name);
}

std::string ImageTree::PathOf(uint32_t node) const {
  std::vector<uint32_t> nodes;
  for (; node != 0; node = dentry(node).parent) nodes.push_back(node);
  std::string path;
  for (auto next = nodes.rbegin(); next != nodes.rend(); ++next) path += "/" + NameOf(*next);
  return path.empty() ? "/" : path;
}

std::vector<uint32_t> ImageTree::Find(const std::string& path, Case sensitivity) const {
  if (empty()) return {};
  uint32_t at = 0;
  for (const std::string& component : ComponentsOf(path)) {
    const std::string units = Units16(component);
    const Children& children = children_[at];
    const auto begin = order_.begin() + children.first;
    const auto end = begin + children.count;
    auto found = std::find_if(begin, end, [&](uint32_t node) { return Units(node) == units; });
    if (found == end && sensitivity == Case::kInsensitive) {
      found =
          std::find_if(begin, end, [&](uint32_t node) { return Compare(Units(node), units, Case::kInsensitive) == 0; });
    }
    if (found == end) return {};
    at = *found;
  }
  return {at};
}

std::vector<uint32_t> ImageTree::Match(const std::string& pattern, Case sensitivity) const {
  if (empty()) return {};
  std::vector<uint32_t> found = {0};
  for (const std::string& component : ComponentsOf(pattern)) {
    std::vector<uint32_t> deeper;
    for (const uint32_t node : found) {
      const Children& children = children_[node];
      for (uint32_t n = 0; n < children.count; n++) {
        const uint32_t child = order_[children.first + n];
        if (Matches(NameOf(child), component, sensitivity)) deeper.push_back(child);
      }
    }
    found = std::move(deeper);
  }
  return found;
}

}  // namespace stowage::wim
