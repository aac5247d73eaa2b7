// A resource: a run of bytes in a WIM, raw or cut into compressed chunks. Source: Microsoft's WIM white paper,
// "Resources"; wimlib for solid and pipable ones.
#ifndef STOWAGE_WIM_RESOURCE_H_
#define STOWAGE_WIM_RESOURCE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "../base/file.h"
#include "decompressors.h"
#include "header.h"

namespace stowage::wim {

struct Resource {
  const File* file = nullptr;
  uint64_t offset = 0;
  // Bytes in the file, with chunk table and prefixes.
  uint64_t size_in_wim = 0;
  // Bytes once decompressed.
  uint64_t size = 0;
  // WIMLIB_COMPRESSION_TYPE_NONE: stored raw.
  int compression = 0;
  uint32_t chunk_size = 0;
  // Of the file in a split WIM.
  uint16_t part = 1;
  bool solid = false;
  bool pipable = false;

  // As a header or a blob table names it; solid resources read their own 16-byte header from the file. Throws
  // WIM_CORRUPT, or UNSUPPORTED for a chunk size larger than Stowage holds in memory.
  static Resource From(const File& file, const Header& header, const ResourceHeader& at);

  // "base.wim, resource at offset 208".
  std::string Describe() const;
  // Throws WIM_CORRUPT if the resource extends past the end of its file.
  void CheckBounds() const;
};

// Where one chunk is in the file. size_in_wim == size: stored raw.
struct Chunk {
  uint64_t offset;
  uint32_t size_in_wim;
  uint32_t size;
};

// Where the chunk table of `resource` is: its offset in the file and its size, 0 for a raw or one-chunk resource.
struct TableSpan {
  uint64_t offset;
  uint64_t size;
};
TableSpan ChunkTableSpan(const Resource& resource);

// All chunks of `resource`, given the bytes of its table. Raw resources are cut into 1 MiB pieces. Every offset and
// size is checked: chunks lie inside the resource, in order. Throws WIM_CORRUPT.
std::vector<Chunk> ParseChunks(const Resource& resource, const uint8_t* table);
std::vector<Chunk> ReadChunks(const Resource& resource);

// Decompresses (or copies) one chunk whose bytes are at `from`.
void UnpackChunk(const Resource& resource, const Chunk& chunk, const uint8_t* from, uint8_t* to,
                 Decompressors& decompressors);

// The whole of a resource that is read for its structure (a blob table, metadata): at most `limit` bytes.
std::vector<uint8_t> ReadWhole(const Resource& resource, uint64_t limit, Decompressors& decompressors);

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_RESOURCE_H_
