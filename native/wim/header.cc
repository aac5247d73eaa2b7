#include "header.h"

#include <wimlib.h>

#include <cstring>
#include <string>

#include "../base/error.h"
#include "../base/little_endian.h"

namespace stowage::wim {

namespace {

constexpr uint32_t kDefaultChunkSize = 32768;
// Of the format: that of all WIMs, and of those with solid resources.
constexpr uint32_t kVersion = 0x10d00;
constexpr uint32_t kSolidVersion = 0xe00;

}  // namespace

int CompressionOf(uint32_t flags, const std::string& where) {
  if (!(flags & Header::kCompressed)) return WIMLIB_COMPRESSION_TYPE_NONE;
  if (flags & Header::kLzx) return WIMLIB_COMPRESSION_TYPE_LZX;
  if (flags & (Header::kXpress | Header::kXpress2)) return WIMLIB_COMPRESSION_TYPE_XPRESS;
  if (flags & Header::kLzms) return WIMLIB_COMPRESSION_TYPE_LZMS;
  throw Error("WIM_CORRUPT", where + ": its header names an unknown compression (flags " + std::to_string(flags) + ")");
}

ResourceHeader ResourceHeader::From(const uint8_t* bytes) {
  ResourceHeader header;
  const uint64_t size_and_flags = Load64(bytes);
  header.size_in_wim = size_and_flags & 0x00ffffffffffffff;
  header.flags = static_cast<uint8_t>(size_and_flags >> 56);
  header.offset = Load64(bytes + 8);
  header.uncompressed_size = Load64(bytes + 16);
  return header;
}

Header Header::From(const File& file) {
  std::array<uint8_t, kSize> bytes{};
  if (file.size() < kSize) {
    throw Error("NOT_A_WIM", file.path() + " is not a WIM: it has " + std::to_string(file.size()) +
                                 " bytes, fewer than a WIM header (208)");
  }
  file.Read(bytes.data(), kSize, 0);
  Header header;
  header.pipable = std::memcmp(bytes.data(), kPipableMagic, 8) == 0;
  if (!header.pipable && std::memcmp(bytes.data(), kMagic, 8) != 0) {
    throw Error("NOT_A_WIM", file.path() + " is not a WIM: it does not begin with \"MSWIM\"");
  }
  // The first header of a pipable WIM was written before anything else was known; the whole one ends the file.
  if (header.pipable) {
    file.Read(bytes.data(), kSize, file.size() - kSize);
    if (std::memcmp(bytes.data(), kPipableMagic, 8) != 0) {
      throw Error("WIM_CORRUPT",
                  file.path() + ": the header at the end of this pipable WIM is missing; the file was cut short");
    }
  }
  if (const uint32_t size = Load32(bytes.data() + 8); size != kSize) {
    throw Error("WIM_CORRUPT", file.path() + ": its header says that it has " + std::to_string(size) +
                                   " bytes, but a WIM header has 208");
  }
  header.version = Load32(bytes.data() + 0x0c);
  if (header.version != kVersion && header.version != kSolidVersion) {
    throw Error("UNSUPPORTED", file.path() + ": its header names version " + std::to_string(header.version) +
                                   " of the WIM format; known are 68864 (1.13) and 3584 (solid)");
  }
  header.flags = Load32(bytes.data() + 0x10);
  header.chunk_size = Load32(bytes.data() + 0x14);
  if (header.chunk_size == 0) header.chunk_size = kDefaultChunkSize;
  std::memcpy(header.guid.data(), bytes.data() + 0x18, header.guid.size());
  header.part = Load16(bytes.data() + 0x28);
  header.total_parts = Load16(bytes.data() + 0x2a);
  header.image_count = Load32(bytes.data() + 0x2c);
  header.blob_table = ResourceHeader::From(bytes.data() + 0x30);
  header.xml = ResourceHeader::From(bytes.data() + 0x48);
  header.boot_index = Load32(bytes.data() + 0x78);
  header.integrity = ResourceHeader::From(bytes.data() + 0x7c);
  header.compression = CompressionOf(header.flags, file.path());
  if (header.part == 0 || header.part > header.total_parts) {
    throw Error("WIM_CORRUPT", file.path() + ": its header says that it is part " + std::to_string(header.part) +
                                   " of " + std::to_string(header.total_parts));
  }
  return header;
}

}  // namespace stowage::wim
