// Limits on what a WIM may claim, from a file or a pipe: memory is allocated for what a file of its size can hold.
#ifndef STOWAGE_WIM_LIMITS_H_
#define STOWAGE_WIM_LIMITS_H_

#include <cstdint>

namespace stowage::wim {

// Bytes of metadata, XML data or blob table for each byte of the file: metadata that compresses better than this cannot
// be real.
constexpr uint64_t kLargestRatio = 512;
// Of one image; offsets into it have 32 bits.
constexpr uint64_t kLargestMetadata = 0xffffffff;
// libwim reads all of it, as text, several times over. For 100 images with all their properties it is 1 MiB.
constexpr uint64_t kLargestXml = 64u << 20;
// Of a resource's chunks, unpacked. wimlib itself writes at most 128 MiB.
constexpr uint32_t kLargestChunk = 256u << 20;

// Bytes of all paths of an image together, beyond kPathRatio times its metadata. A tree of Windows itself has twice its
// metadata; ten thousand nested directories have a hundred times.
constexpr uint64_t kMostPathBytes = 32u << 20;
constexpr uint64_t kPathRatio = 16;

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_LIMITS_H_
