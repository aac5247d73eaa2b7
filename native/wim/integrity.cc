#include "integrity.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "../base/error.h"
#include "../base/little_endian.h"
#include "header.h"

namespace stowage::wim {

namespace {

// Size of the table, number of entries and size of a chunk, 4 bytes each.
constexpr uint64_t kHeadSize = 12;

}  // namespace

std::optional<IntegrityTable> IntegrityTable::Read(const File& file) {
  const auto corrupt = [&](const std::string& what) {
    return Error("WIM_CORRUPT", file.path() + ": its integrity table " + what);
  };
  const Header header = Header::From(file);
  const ResourceHeader& at = header.integrity;
  if (at.offset == 0) return std::nullopt;
  const ResourceHeader& blobs = header.blob_table;
  if (blobs.offset > file.size() || blobs.size_in_wim > file.size() - blobs.offset) {
    throw corrupt("covers a blob table past the end of the file");
  }
  if (at.offset > file.size() || at.size_in_wim > file.size() - at.offset)
    throw corrupt("ends past the end of the file");
  if (at.size_in_wim < kHeadSize || (at.flags & ResourceHeader::kCompressed))
    throw corrupt("is too short, or compressed");

  std::array<uint8_t, kHeadSize> head;
  file.Read(head.data(), head.size(), at.offset);
  const uint64_t size = Load32(head.data());
  const uint64_t count = Load32(head.data() + 4);
  IntegrityTable table;
  table.begin = Header::kSize;
  table.end = std::max<uint64_t>(table.begin, blobs.offset + blobs.size_in_wim);
  table.chunk_size = Load32(head.data() + 8);
  if (size != at.size_in_wim || size != kHeadSize + count * sizeof(Sha1Hash) || table.chunk_size == 0) {
    throw corrupt("claims " + std::to_string(count) + " chunks of " + std::to_string(table.chunk_size) +
                  " bytes, but has " + std::to_string(at.size_in_wim) + " bytes itself");
  }
  const uint64_t covered = table.end - table.begin;
  if (count != covered / table.chunk_size + (covered % table.chunk_size != 0)) {
    throw corrupt("has " + std::to_string(count) + " chunks of " + std::to_string(table.chunk_size) + " bytes for " +
                  std::to_string(covered) + " bytes");
  }
  table.hashes.resize(count);
  file.Read(table.hashes.data(), count * sizeof(Sha1Hash), at.offset + kHeadSize);
  return table;
}

uint64_t IntegrityTable::ChunkSize(size_t chunk) const {
  return std::min<uint64_t>(chunk_size, end - ChunkBegin(chunk));
}

}  // namespace stowage::wim
