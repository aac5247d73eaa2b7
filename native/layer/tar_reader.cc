#include "tar_reader.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "../base/error.h"

namespace stowage::layer {

namespace {

constexpr size_t kBlockSize = 512;
// Of one header's records, or of one long name: the limit of Go's reader, which Windows' tools use.
constexpr uint64_t kExtendedLimit = 1u << 20;
// Of all global records: every entry gets a copy of them.
constexpr size_t kGlobalLimit = 64u << 10;
constexpr uint64_t kEntryLimit = 4u << 20;
// Keeps sizes and their padding within 64 bits.
constexpr uint64_t kSizeLimit = uint64_t{1} << 62;

struct Field {
  size_t offset, size;
};
constexpr Field kName{0, 100}, kMode{100, 8}, kUid{108, 8}, kGid{116, 8}, kSize{124, 12}, kMtime{136, 12},
    kChecksum{148, 8}, kLinkname{157, 100}, kMagic{257, 8}, kUname{265, 32}, kGname{297, 32}, kDevmajor{329, 8},
    kDevminor{337, 8}, kPrefix{345, 155};
constexpr size_t kType = 156;
// Star's headers have times after a shorter prefix, and this at the end of the block.
constexpr size_t kStarPrefix = 131;
constexpr Field kStarMagic{508, 4};

std::string Text(const uint8_t* block, Field field) {
  const auto* text = reinterpret_cast<const char*>(block + field.offset);
  return std::string(text, strnlen(text, field.size));
}

bool Holds(const uint8_t* block, Field field, const char* bytes) {
  return memcmp(block + field.offset, bytes, field.size) == 0;
}

bool IsEmpty(const uint8_t* block) {
  return std::all_of(block, block + kBlockSize, [](uint8_t byte) { return byte == 0; });
}

// The sum of all bytes, with those of the checksum itself as spaces. Old tars summed signed bytes.
bool ChecksumFits(const uint8_t* block, int64_t expected) {
  int64_t plain = 0;
  int64_t with_sign = 0;
  for (size_t i = 0; i < kBlockSize; i++) {
    const bool own = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.size;
    plain += own ? ' ' : block[i];
    with_sign += own ? ' ' : static_cast<int8_t>(block[i]);
  }
  return expected == plain || expected == with_sign;
}

using Records = std::vector<std::pair<std::string, std::string>>;

bool KeyBefore(const Records::value_type& record, const Records::value_type& other) {
  return record.first < other.first;
}

// Sorts by key, and keeps the last of records with the same key.
void Settle(Records* records) {
  std::stable_sort(records->begin(), records->end(), KeyBefore);
  size_t kept = 0;
  for (size_t i = 0; i < records->size(); i++) {
    if (i + 1 < records->size() && (*records)[i].first == (*records)[i + 1].first) continue;
    if (kept != i) (*records)[kept] = std::move((*records)[i]);
    kept++;
  }
  records->resize(kept);
}

}  // namespace

struct TarReader::Extended {
  std::optional<std::string> path, linkname;
  std::optional<Records> records;

  bool any() const { return path || linkname || records; }
};

const std::string* TarEntry::Record(const std::string& key) const {
  const auto found = std::lower_bound(records.begin(), records.end(), key,
                                      [](const auto& record, const std::string& k) { return record.first < k; });
  return found == records.end() || found->first != key ? nullptr : &found->second;
}

TarReader::TarReader(ByteSource& input, std::string where) : input_(input), where_(std::move(where)) {}

bool TarReader::Next(TarEntry* entry) {
  if (ended_) return false;
  Skip(left_ + padding_);
  left_ = 0;
  padding_ = 0;
  uint8_t block[kBlockSize];
  Extended extended;
  bool first = true;
  for (;;) {
    const uint64_t start = position_;
    const bool found = Block(block);
    if (first) entry_offset_ = start;
    first = false;
    if (!found || IsEmpty(block)) {
      if (extended.any()) Corrupt("it ends between an extended header and its entry");
      if (found && Block(block) && !IsEmpty(block)) Corrupt("a single block of zeros is followed by more data");
      return Finish();
    }
    const char type = static_cast<char>(block[kType]);
    const bool tar = ChecksumFits(block, Number(block + kChecksum.offset, kChecksum.size, "checksum"));
    if (!tar && start == 0) NotATar();
    if (!tar) Corrupt("the checksum of the header is wrong");
    if (type != 'x' && type != 'g' && type != 'L' && type != 'K') break;
    const int64_t size = Number(block + kSize.offset, kSize.size, "size");
    if (size < 0 || static_cast<uint64_t>(size) > kExtendedLimit) Corrupt("an extended header of over 1 MiB");
    Extend(type, static_cast<uint64_t>(size), &extended);
    if (type == 'g') first = !extended.any();
  }
  if (++count_ > kEntryLimit) Corrupt("more than " + std::to_string(kEntryLimit) + " entries");
  *entry = {};
  Complete(block, extended, entry);
  return true;
}

// Reads a header that extends the next entry, or all entries.
void TarReader::Extend(char type, uint64_t size, Extended* extended) {
  if (type == 'g') {
    Records records = ReadRecords(size);
    global_.insert(global_.end(), std::make_move_iterator(records.begin()), std::make_move_iterator(records.end()));
    Settle(&global_);
    size_t total = 0;
    for (const auto& [key, value] : global_) total += key.size() + value.size();
    if (total > kGlobalLimit) Corrupt("global extended headers of over 64 KiB");
    globals_++;
    return;
  }
  if (type == 'x') {
    // Readers do not agree on which of the two applies.
    if (extended->records) Corrupt("two extended headers for one entry");
    extended->records = ReadRecords(size);
    return;
  }
  std::string name = Take(size);
  name.resize(strnlen(name.data(), name.size()));
  (type == 'L' ? extended->path : extended->linkname) = std::move(name);
}

// Fills `entry` from its own header and from those before it.
void TarReader::Complete(const uint8_t* block, Extended& extended, TarEntry* entry) {
  TakeHeader(block, entry);
  entry->records = std::move(extended.records).value_or(Records());
  if (!global_.empty()) {
    entry->records.insert(entry->records.begin(), global_.begin(), global_.end());
    Settle(&entry->records);
  }
  ApplyRecords(entry);
  if (extended.path) entry->path = std::move(*extended.path);
  if (extended.linkname) entry->linkname = std::move(*extended.linkname);
  SettleType(static_cast<char>(block[kType]), entry);
  // Only files have content: in any other header the size means something else, or nothing.
  if (entry->type != '0') entry->size = 0;
  if (entry->size > kSizeLimit) Corrupt("an entry of " + std::to_string(entry->size) + " bytes");
  left_ = entry->size;
  padding_ = (kBlockSize - left_ % kBlockSize) % kBlockSize;
}

void TarReader::TakeHeader(const uint8_t* block, TarEntry* entry) const {
  const auto number = [&](Field field, const char* name) { return Number(block + field.offset, field.size, name); };
  const auto natural = [&](Field field, const char* name) {
    const int64_t value = number(field, name);
    if (value < 0) Corrupt(std::string("a negative ") + name);
    return static_cast<uint64_t>(value);
  };
  entry->path = Text(block, kName);
  entry->linkname = Text(block, kLinkname);
  entry->mode = static_cast<uint32_t>(number(kMode, "mode"));
  entry->uid = natural(kUid, "uid");
  entry->gid = natural(kGid, "gid");
  entry->size = natural(kSize, "size");
  entry->mtime = number(kMtime, "mtime");
  const bool posix = Holds(block, {kMagic.offset, 6}, "ustar\0");
  if (posix || Holds(block, kMagic, "ustar  \0")) {
    entry->uname = Text(block, kUname);
    entry->gname = Text(block, kGname);
    entry->devmajor = static_cast<uint32_t>(number(kDevmajor, "devmajor"));
    entry->devminor = static_cast<uint32_t>(number(kDevminor, "devminor"));
  }
  if (posix) {
    const bool star = Holds(block, kStarMagic, "tar\0");
    const std::string prefix = Text(block, {kPrefix.offset, star ? kStarPrefix : kPrefix.size});
    if (!prefix.empty()) entry->path = prefix + "/" + entry->path;
  }
}

void TarReader::ApplyRecords(TarEntry* entry) const {
  for (const auto& [key, value] : entry->records) {
    if (key.compare(0, 11, "GNU.sparse.") == 0) Corrupt("a sparse file of GNU tar, which is not supported");
    if (value.empty()) continue;
    const bool text = key == "path" || key == "linkpath" || key == "uname" || key == "gname";
    if (text && value.find('\0') != std::string::npos) Corrupt("a NUL in the record " + key);
    if (key == "path") entry->path = value;
    if (key == "linkpath") entry->linkname = value;
    if (key == "uname") entry->uname = value;
    if (key == "gname") entry->gname = value;
    if (key == "size") entry->size = Decimal(value, "size");
    if (key == "uid") entry->uid = Decimal(value, "uid");
    if (key == "gid") entry->gid = Decimal(value, "gid");
  }
}

void TarReader::SettleType(char type, TarEntry* entry) const {
  entry->type = type;
  // Before ustar, a directory was a file whose name ends in a slash.
  const bool ends_in_slash = !entry->path.empty() && entry->path.back() == '/';
  if (entry->type == '\0') entry->type = ends_in_slash ? '5' : '0';
  if (entry->type == '7') entry->type = '0';
  if (entry->type < '0' || entry->type > '6') {
    const std::string shown = type > ' ' && type < '\x7f' ? std::string(1, type) : "?";
    Corrupt(shown == "S" ? "a sparse file of GNU tar, which is not supported" : "an entry of type '" + shown + "'");
  }
}

bool TarReader::Read(const uint8_t** data, size_t* size) {
  if (left_ == 0) return false;
  if (!Fill()) Corrupt("it ends within the content of an entry");
  *data = data_;
  *size = static_cast<size_t>(std::min<uint64_t>(left_, size_));
  data_ += *size;
  size_ -= *size;
  position_ += *size;
  left_ -= *size;
  return true;
}

bool TarReader::Fill() {
  if (size_ == 0) size_ = input_.Read(&data_);
  return size_ > 0;
}

bool TarReader::Block(uint8_t* block) {
  for (size_t filled = 0; filled < kBlockSize;) {
    if (!Fill()) {
      if (filled == 0) return false;
      Corrupt("it ends within a block of 512 bytes");
    }
    const size_t part = std::min(size_, kBlockSize - filled);
    memcpy(block + filled, data_, part);
    filled += part;
    data_ += part;
    size_ -= part;
    position_ += part;
  }
  return true;
}

void TarReader::Skip(uint64_t size) {
  while (size > 0) {
    if (!Fill()) Corrupt("it ends within the content of an entry");
    const size_t part = static_cast<size_t>(std::min<uint64_t>(size, size_));
    data_ += part;
    size_ -= part;
    position_ += part;
    size -= part;
  }
}

std::string TarReader::Take(uint64_t size) {
  std::string bytes;
  bytes.reserve(static_cast<size_t>(size));
  while (bytes.size() < size) {
    if (!Fill()) Corrupt("it ends within an extended header");
    const size_t part = std::min<size_t>(static_cast<size_t>(size) - bytes.size(), size_);
    bytes.append(reinterpret_cast<const char*>(data_), part);
    data_ += part;
    size_ -= part;
    position_ += part;
  }
  Skip((kBlockSize - size % kBlockSize) % kBlockSize);
  return bytes;
}

// Records are "SIZE KEY=VALUE\n", where SIZE counts all of it.
TarReader::Records TarReader::ReadRecords(uint64_t size) {
  const std::string bytes = Take(size);
  Records records;
  for (size_t at = 0; at < bytes.size();) {
    size_t length = 0;
    size_t digits = at;
    while (digits < bytes.size() && bytes[digits] >= '0' && bytes[digits] <= '9' && length <= kExtendedLimit) {
      length = length * 10 + static_cast<size_t>(bytes[digits++] - '0');
    }
    const size_t end = at + length;
    if (digits == at || digits >= bytes.size() || bytes[digits] != ' ' || end > bytes.size() || end < digits + 2 ||
        bytes[end - 1] != '\n') {
      Corrupt("an extended header that is not a list of records");
    }
    const size_t key = digits + 1;
    const size_t equals = bytes.find('=', key);
    if (equals == std::string::npos || equals >= end || equals == key) Corrupt("a record without a key");
    records.emplace_back(bytes.substr(key, equals - key), bytes.substr(equals + 1, end - 1 - (equals + 1)));
    at = end;
  }
  Settle(&records);
  return records;
}

// Octal digits between spaces and NULs; or, if the first bit is set, GNU's two's complement.
int64_t TarReader::Number(const uint8_t* field, size_t size, const char* name) const {
  if (field[0] & 0x80) {
    const bool negative = (field[0] & 0x40) != 0;
    uint64_t value = negative ? ~uint64_t{0} : 0;
    for (size_t i = 0; i < size; i++) {
      const uint8_t byte = i > 0 ? field[i] : static_cast<uint8_t>(negative ? field[0] : field[0] & 0x7f);
      // Only copies of the sign bit may be shifted out.
      if (value >> 55 != (negative ? 0x1ff : 0)) Corrupt(std::string("a number that is too large: ") + name);
      value = value << 8 | byte;
    }
    return static_cast<int64_t>(value);
  }
  size_t at = 0;
  while (at < size && (field[at] == ' ' || field[at] == 0)) at++;
  int64_t value = 0;
  for (; at < size && field[at] >= '0' && field[at] <= '7'; at++) value = value * 8 + (field[at] - '0');
  for (; at < size; at++) {
    if (field[at] != ' ' && field[at] != 0) {
      // A checksum like this in the first block means that the file is not a tar.
      if (position_ == kBlockSize && strcmp(name, "checksum") == 0) NotATar();
      Corrupt(std::string("a field that is not a number: ") + name);
    }
  }
  return value;
}

uint64_t TarReader::Decimal(const std::string& text, const char* key) const {
  uint64_t value = 0;
  for (const char digit : text) {
    if (digit < '0' || digit > '9' || value > kSizeLimit / 10)
      Corrupt(std::string("a record that is not a number: ") + key);
    value = value * 10 + static_cast<uint64_t>(digit - '0');
  }
  return value;
}

bool TarReader::Finish() {
  ended_ = true;
  do {
    position_ += size_;
    size_ = 0;
  } while (Fill());
  return false;
}

void TarReader::Corrupt(const std::string& why) const { Throw("LAYER_CORRUPT", why); }

void TarReader::NotATar() const { Throw("NOT_A_LAYER", "it is not a tar, nor gzip or zstd"); }

void TarReader::Throw(const char* code, const std::string& why) const {
  throw Error(code, where_ + ": in the entry at byte " + std::to_string(entry_offset_) + " of the tar: " + why);
}

}  // namespace stowage::layer
