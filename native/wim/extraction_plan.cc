#include "extraction_plan.h"

#include <wimlib.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "../base/error.h"
#include "file_names.h"
#include "link_target.h"

namespace stowage::wim {

namespace {

bool IsLink(const Dentry& dentry) {
  return (dentry.attributes & kAttributeReparsePoint) &&
         (dentry.reparse_tag == kTagSymbolicLink || dentry.reparse_tag == kTagMountPoint);
}

}  // namespace

ExtractionPlan::ExtractionPlan(const Archive& archive, const ImageTree& tree, const std::vector<uint32_t>& roots,
                               int flags)
    : tree_(tree), states_(tree.size(), State::kNone) {
  std::vector<uint32_t> chosen;
  for (const uint32_t node : Choose(roots, flags)) {
    const bool taken = Take(node, flags);
    states_[node] = taken ? State::kChosen : State::kLeftOut;
    if (taken) chosen.push_back(node);
  }
  Check(chosen, flags);
  if (flags & WIMLIB_EXTRACT_FLAG_UNIX_DATA) CheckUnixData(chosen);
  for (const uint32_t node : chosen) {
    if (node == 0) {
      with_root_ = true;
    } else if ((tree_.dentry(node).attributes & kAttributeDirectory) && !IsLink(tree_.dentry(node))) {
      directories_.push_back(node);
    } else {
      AddFile(node);
    }
  }
  AddContents(archive);
  SortContents(archive.blobs());
}

std::vector<uint32_t> ExtractionPlan::Choose(const std::vector<uint32_t>& roots, int flags) const {
  std::vector<bool> is_root(tree_.size());
  for (const uint32_t root : roots) is_root[root] = true;
  std::vector<bool> added(tree_.size());
  std::vector<uint32_t> chosen;
  const auto add = [&](uint32_t node) {
    if (!added[node]) chosen.push_back(node);
    added[node] = true;
  };
  for (const uint32_t root : roots) {
    std::vector<uint32_t> above;
    for (uint32_t node = root; node != 0;) above.push_back(node = tree_.dentry(node).parent);
    if (std::any_of(above.begin(), above.end(), [&](uint32_t node) { return is_root[node]; })) continue;
    if (!(flags & WIMLIB_EXTRACT_FLAG_NO_PRESERVE_DIR_STRUCTURE)) std::for_each(above.rbegin(), above.rend(), add);
    if (!added[root]) tree_.Walk(root, add);
  }
  return chosen;
}

bool ExtractionPlan::Take(uint32_t node, int flags) {
  if (node == 0) return true;
  if (states_[tree_.dentry(node).parent] == State::kLeftOut) return false;
  const std::string name = tree_.NameOf(node);
  if (name.find('\0') != std::string::npos) return false;  // libwim has no other name for it either
  const bool valid = IsFileName(name);
  const auto folded = valid ? FoldedName(name) : std::nullopt;
  if (valid && (!folded || folded_names_[DirectoryOf(node)].insert(*folded).second)) return true;
  if (!(flags & (valid ? WIMLIB_EXTRACT_FLAG_ALL_CASE_CONFLICTS : WIMLIB_EXTRACT_FLAG_REPLACE_INVALID_FILENAMES)))
    return false;
  other_names_[node] = WithoutInvalid(name) + " (invalid filename #" + std::to_string(other_names_.size() + 1) + ")";
  return true;
}

void ExtractionPlan::Check(const std::vector<uint32_t>& nodes, int flags) const {
  const auto refuse = [&](int flag, const char* what, auto has) {
    if (!(flags & flag)) return;
    const auto found = std::find_if(nodes.begin(), nodes.end(), [&](uint32_t node) { return has(tree_.dentry(node)); });
    if (found == nodes.end()) return;
    throw Error("WIMLIB_ERR_UNSUPPORTED",
                tree_.PathOf(*found) + " has a " + what + ", which cannot be extracted to plain files");
  };
  refuse(WIMLIB_EXTRACT_FLAG_STRICT_ACLS, "security descriptor", [](const Dentry& each) { return each.security >= 0; });
  refuse(WIMLIB_EXTRACT_FLAG_STRICT_SHORT_NAMES, "short name",
         [](const Dentry& each) { return each.short_name.size > 0; });
}

// What is left out elsewhere is asked for here.
void ExtractionPlan::CheckUnixData(const std::vector<uint32_t>& nodes) const {
  const auto found = std::find_if(nodes.begin(), nodes.end(),
                                  [&](uint32_t node) { return tree_.dentry(node).extended_attributes.size > 0; });
  if (found == nodes.end()) return;
  throw Error("LIBWIM_MISSING", tree_.PathOf(*found) + " has extended attributes, which only libwim can restore");
}

void ExtractionPlan::AddFile(uint32_t node) {
  const uint32_t file = tree_.FileOf(node);
  const auto [found, added] = file_indexes_.emplace(file, static_cast<uint32_t>(files_.size()));
  if (added) files_.push_back({file, {}, IsLink(tree_.dentry(file))});
  files_[found->second].names.push_back(node);
}

void ExtractionPlan::AddContents(const Archive& archive) {
  for (uint32_t index = 0; index < files_.size(); index++) {
    File& file = files_[index];
    const auto add = [&](Stream::Type type) {
      const Stream* const stream = tree_.UnnamedStream(file.node, type);
      if (stream == nullptr) return;
      const auto blob = archive.blobs().Find(stream->hash);
      if (!blob) {
        throw Error("WIMLIB_ERR_RESOURCE_NOT_FOUND", archive.path() + " does not hold the blob with SHA-1 " +
                                                         Hex(stream->hash) + ", the content of " +
                                                         tree_.PathOf(file.node));
      }
      contents_.push_back({*blob, index, type == Stream::Type::kReparse});
      file.empty = false;
    };
    if (!(tree_.dentry(file.node).attributes & kAttributeDirectory)) add(Stream::Type::kData);
    if (file.link) add(Stream::Type::kReparse);
  }
}

void ExtractionPlan::SortContents(const BlobTable& table) {
  std::map<const stowage::File*, size_t> parts;
  for (const Resource& resource : table.resources()) parts.emplace(resource.file, parts.size());
  const auto place = [&](const Content& content) {
    const Blob& blob = table.blobs()[content.blob];
    const Resource& resource = table.resources()[blob.resource];
    return std::make_tuple(parts.at(resource.file), resource.offset, blob.resource, blob.offset, content.blob);
  };
  std::stable_sort(contents_.begin(), contents_.end(),
                   [&](const Content& a, const Content& b) { return place(a) < place(b); });
}

uint32_t ExtractionPlan::DirectoryOf(uint32_t node) const {
  const uint32_t parent = tree_.dentry(node).parent;
  return parent == 0 || states_[parent] != State::kChosen ? kTarget : parent;
}

std::string ExtractionPlan::NameOf(uint32_t node) const {
  const auto other = other_names_.find(node);
  return other == other_names_.end() ? tree_.NameOf(node) : other->second;
}

std::string ExtractionPlan::PathOf(uint32_t node) const {
  std::vector<uint32_t> nodes;
  for (; node != kTarget; node = DirectoryOf(node)) nodes.push_back(node);
  std::string path;
  for (auto next = nodes.rbegin(); next != nodes.rend(); ++next) path += "/" + NameOf(*next);
  return path;
}

}  // namespace stowage::wim
