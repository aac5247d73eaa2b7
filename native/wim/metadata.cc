#include "metadata.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <future>
#include <unordered_set>
#include <utility>

#include "../base/error.h"
#include "../base/little_endian.h"
#include "limits.h"

namespace stowage::wim {

namespace {

constexpr uint32_t kDeepest = 16384;  // wimlib's limit on a path is lower still

// Hashed before a thread has begun.
constexpr size_t kSmall = 1 << 20;

enum Tag : uint32_t { kTagObjectId = 1, kTagExtendedAttributes = 2, kTagUnixData = 0x337DD873 };

Sha1Hash LoadHash(const uint8_t* bytes) {
  Sha1Hash hash;
  std::memcpy(hash.data(), bytes, hash.size());
  return hash;
}

}  // namespace

Metadata::Metadata(const BlobTable& table, uint32_t image, const std::string& path)
    : where_(path + ", metadata of image " + std::to_string(image + 1)) {
  if (image >= table.metadata().size()) Corrupt("is not in the blob table");
  const Blob& blob = table.metadata()[image];
  const Resource& resource = table.resources()[blob.resource];
  Decompressors decompressors;
  const uint64_t limit = std::min(resource.file->size() * kLargestRatio, kLargestMetadata);
  buffer_ = ReadWhole(resource, limit, decompressors);
  Parse(blob.hash);
}

Metadata::Metadata(std::vector<uint8_t> bytes, const Sha1Hash& hash, std::string where)
    : where_(std::move(where)), buffer_(std::move(bytes)) {
  Parse(hash);
}

void Metadata::Parse(const Sha1Hash& hash) {
  // A wrong hash is reported first. But many megabytes are hashed while the tree is parsed, which trusts nothing
  // anyway.
  const auto hash_all = [this] {
    Sha1 sha1;
    sha1.Update(buffer_.data(), buffer_.size());
    return sha1.Finish();
  };
  // `deferred` too: if no thread can be started, this one does the work.
  auto hashed = std::async(buffer_.size() < kSmall ? std::launch::deferred : std::launch::async | std::launch::deferred,
                           hash_all);
  std::exception_ptr failure;
  try {
    ParseTree(ParseSecurity());
  } catch (...) {
    failure = std::current_exception();
  }
  const Sha1Hash found = hashed.get();
  if (found != hash) Corrupt("expected SHA-1 " + Hex(hash) + " but found " + Hex(found));
  if (failure) std::rethrow_exception(failure);
}

uint64_t Metadata::ParseSecurity() {
  if (buffer_.size() < 8) Corrupt("is too short for security data");
  const uint64_t total = std::max<uint64_t>(Load32(buffer_.data()), 8);
  const uint64_t count = Load32(buffer_.data() + 4);
  if (total > buffer_.size() || count > (total - 8) / 8) Corrupt("has security data longer than itself");
  uint64_t at = 8 + count * 8;
  for (uint64_t i = 0; i < count; i++) {
    const uint64_t size = Load64(buffer_.data() + 8 + i * 8);
    if (size > total - at) Corrupt("has a security descriptor past the end of the security data");
    security_.push_back(CheckedSpan(at, size));
    at += size;
  }
  return Align8(total);
}

// Breadth first, so that a parent comes before its children and no recursion can exhaust the stack.
void Metadata::ParseTree(uint64_t root_offset) {
  struct Directory {
    uint64_t children;
    uint32_t index;
    uint32_t depth;
  };
  std::vector<Directory> directories;
  std::unordered_set<uint64_t> seen;
  uint64_t subdirectory = 0;
  if (ParseDentry(root_offset, Dentry::kNoParent, &subdirectory) == 0) return;  // an image with no root: empty
  if (subdirectory != 0) directories.push_back({subdirectory, 0, 0});
  for (size_t next = 0; next < directories.size(); next++) {
    const Directory directory = directories[next];
    if (directory.depth > kDeepest) Corrupt("nests directories too deeply");
    if (!seen.insert(directory.children).second)
      Corrupt("has a directory that contains itself, or two directories that share dentries");
    uint64_t at = directory.children;
    while (const uint64_t size = ParseDentry(at, directory.index, &subdirectory)) {
      at += size;
      const auto index = static_cast<uint32_t>(dentries_.size() - 1);
      if (subdirectory == 0 || !(dentries_[index].attributes & kAttributeDirectory)) continue;
      directories.push_back({subdirectory, index, directory.depth + 1});
    }
  }
}

uint64_t Metadata::ParseDentry(uint64_t offset, uint32_t parent, uint64_t* subdirectory) {
  if (offset > buffer_.size() || buffer_.size() - offset < 8) Corrupt("ends inside a directory");
  const uint8_t* const bytes = buffer_.data() + offset;
  const uint64_t length = Load64(bytes);
  if (length <= 8) return 0;
  if (length < kDentrySize || length > buffer_.size() - offset) {
    Corrupt("has a dentry of " + std::to_string(length) + " bytes at offset " + std::to_string(offset));
  }
  // Each dentry has bytes of its own: more of them means that directories overlap.
  if ((dentries_.size() + 1) * kDentrySize > buffer_.size()) Corrupt("has directories that overlap");
  Dentry dentry;
  dentry.parent = parent;
  dentry.attributes = Load32(bytes + 8);
  dentry.security = static_cast<int32_t>(Load32(bytes + 12));
  *subdirectory = Load64(bytes + 16);
  dentry.creation_time = Load64(bytes + 40);
  dentry.access_time = Load64(bytes + 48);
  dentry.write_time = Load64(bytes + 56);
  const Sha1Hash main_hash = LoadHash(bytes + 64);
  if (dentry.attributes & kAttributeReparsePoint) {
    dentry.reparse_tag = Load32(bytes + 88);
    dentry.reparse_flags = Load16(bytes + 94);
  } else {
    dentry.link_group = Load64(bytes + 88);
  }
  const uint32_t stream_count = Load16(bytes + 96);
  const uint32_t short_size = Load16(bytes + 98);
  const uint32_t name_size = Load16(bytes + 100);
  uint64_t at = kDentrySize;
  const auto take_name = [&](uint32_t size) {
    if (size == 0) return Span{};
    if (size % 2 != 0 || at + size + 2 > length) Corrupt("has a name past the end of its dentry");
    const Span span = CheckedSpan(offset + at, size);
    at += size + 2;
    return span;
  };
  dentry.name = take_name(name_size);
  dentry.short_name = take_name(short_size);
  if (dentry.security >= static_cast<int64_t>(security_.size()))
    Corrupt("has a dentry with a security descriptor that does not exist");
  if (Align8(at) < length) ParseTagged(dentry, offset + Align8(at), offset + length);
  const uint64_t streams_size = ParseStreams(dentry, offset + Align8(length), stream_count, main_hash);
  dentries_.push_back(dentry);
  return Align8(length) + streams_size;
}

void Metadata::ParseTagged(Dentry& dentry, uint64_t from, uint64_t to) {
  while (to - from >= 8) {
    const uint32_t tag = Load32(buffer_.data() + from);
    const uint64_t size = Load32(buffer_.data() + from + 4);
    if (size > to - from - 8) return;  // wimlib, too, treats what follows as padding
    const Span span = CheckedSpan(from + 8, size);
    if (tag == kTagObjectId) dentry.object_id = span;
    if (tag == kTagExtendedAttributes) dentry.extended_attributes = span;
    if (tag == kTagUnixData) dentry.unix_data = span;
    const uint64_t whole = Align8(8 + size);
    if (whole > to - from) return;
    from += whole;
  }
}

uint64_t Metadata::ParseStreams(Dentry& dentry, uint64_t offset, uint32_t count, const Sha1Hash& main_hash) {
  dentry.first_stream = static_cast<uint32_t>(streams_.size());
  bool reparse_found = false;
  if (!IsZero(main_hash)) AddStream(dentry, {}, main_hash, &reparse_found);
  uint64_t at = offset;
  for (uint32_t i = 0; i < count; i++) {
    if (at > buffer_.size() || buffer_.size() - at < kStreamEntrySize) Corrupt("ends inside the streams of a dentry");
    const uint8_t* const bytes = buffer_.data() + at;
    const uint64_t length = Load64(bytes);
    const uint64_t name_size = Load16(bytes + 36);
    if (length < kStreamEntrySize || length > buffer_.size() - at || name_size % 2 != 0 ||
        kStreamEntrySize + name_size > length) {
      Corrupt("has a stream entry that is longer than its space");
    }
    const Span name = name_size == 0 ? Span{} : CheckedSpan(at + kStreamEntrySize, name_size);
    AddStream(dentry, name, LoadHash(bytes + 16), &reparse_found);
    at += Align8(length);
  }
  return at - offset;
}

// An unnamed stream does not say what it is: of a reparse point, the first with content is the reparse data; of an
// encrypted file, each is raw data; any other is the file's content.
void Metadata::AddStream(Dentry& dentry, const Span& name, const Sha1Hash& hash, bool* reparse_found) {
  Stream::Type type = Stream::Type::kData;
  if (name.size == 0) {
    if (IsZero(hash)) return;
    if (dentry.attributes & kAttributeEncrypted) {
      type = Stream::Type::kEncrypted;
    } else if ((dentry.attributes & kAttributeReparsePoint) && !*reparse_found) {
      type = Stream::Type::kReparse;
      *reparse_found = true;
    }
  }
  streams_.push_back({type, name, hash});
  dentry.stream_count++;
}

Span Metadata::CheckedSpan(uint64_t offset, uint64_t size) const {
  if (offset > buffer_.size() || size > buffer_.size() - offset) Corrupt("points past its own end");
  return {static_cast<uint32_t>(offset), static_cast<uint32_t>(size)};
}

void Metadata::Corrupt(const std::string& what) const { throw Error("WIM_CORRUPT", where_ + " " + what); }

}  // namespace stowage::wim
