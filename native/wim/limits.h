// What a WIM may ask for, however it comes: memory is taken for what a file can rightly hold, not for what it claims.
#ifndef STOWAGE_WIM_LIMITS_H_
#define STOWAGE_WIM_LIMITS_H_

#include <cstdint>

namespace stowage::wim {

// Bytes of metadata, XML data or blob table for each byte of the file: what is compressed more than this says nothing.
constexpr uint64_t kLargestRatio = 512;
// Of one image; offsets into it count in 32 bits.
constexpr uint64_t kLargestMetadata = 0xffffffff;
// libwim reads all of it, as text, several times over. That of 100 images with all their properties has 1 MiB.
constexpr uint64_t kLargestXml = 64u << 20;
// Of a resource's chunks, unpacked: what wimlib itself writes at most is 128 MiB.
constexpr uint32_t kLargestChunk = 256u << 20;

// Bytes of all paths of an image together, beyond kPathRatio times its metadata. A tree of Windows itself has twice its
// metadata; ten thousand directories in each other have a hundred times.
constexpr uint64_t kMostPathBytes = 32u << 20;
constexpr uint64_t kPathRatio = 16;

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_LIMITS_H_
