// The 208-byte header of a WIM, which says where everything else is. Source: Microsoft's WIM white paper, "Header";
// wimlib.
#ifndef STOWAGE_WIM_HEADER_H_
#define STOWAGE_WIM_HEADER_H_

#include <array>
#include <cstdint>
#include <string>

#include "../base/file.h"

namespace stowage::wim {

// The first eight bytes of a WIM, and of a pipable one.
constexpr char kMagic[9] = "MSWIM\0\0\0";
constexpr char kPipableMagic[9] = "WLPWM\0\0\0";

// One of libwim's wimlib_compression_type, by a header's flags. Throws WIM_CORRUPT; `where` opens the message.
int CompressionOf(uint32_t flags, const std::string& where);

struct ResourceHeader {
  enum Flags : uint8_t { kFree = 1, kMetadata = 2, kCompressed = 4, kSpanned = 8, kSolid = 16 };
  static constexpr size_t kSize = 24;

  uint64_t size_in_wim = 0;
  uint8_t flags = 0;
  uint64_t offset = 0;
  uint64_t uncompressed_size = 0;

  static ResourceHeader From(const uint8_t* bytes);
};

struct Header {
  enum Flags : uint32_t {
    kCompressed = 0x2,
    kReadonly = 0x4,
    kSpanned = 0x8,
    kResourceOnly = 0x10,
    kMetadataOnly = 0x20,
    kWriteInProgress = 0x40,
    kRpFix = 0x80,
    kXpress = 0x20000,
    kLzx = 0x40000,
    kLzms = 0x80000,
    kXpress2 = 0x200000
  };
  static constexpr size_t kSize = 208;

  uint32_t version = 0;
  uint32_t flags = 0;
  uint32_t chunk_size = 0;
  // One of libwim's wimlib_compression_type.
  int compression = 0;
  std::array<uint8_t, 16> guid{};
  uint16_t part = 1;
  uint16_t total_parts = 1;
  uint32_t image_count = 0;
  bool pipable = false;
  ResourceHeader blob_table;
  ResourceHeader xml;
  // From 1; 0: none.
  uint32_t boot_index = 0;
  // At offset 0 if there is none.
  ResourceHeader integrity;

  // Throws NOT_A_WIM, WIM_CORRUPT, or UNSUPPORTED for another version of the format, naming the file.
  static Header From(const File& file);
};

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_HEADER_H_
