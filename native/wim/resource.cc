#include "resource.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <future>

#include "../base/error.h"
#include "../base/little_endian.h"
#include "limits.h"

namespace stowage::wim {

namespace {

// With fewer chunks, decompression ends before a second thread has started.
constexpr size_t kChunksForTwo = 32;

constexpr uint32_t kRawPiece = 1u << 20;
constexpr uint32_t kSolidHeaderSize = 16;
constexpr uint32_t kChunkPrefixSize = 4;

uint64_t ChunkCount(const Resource& resource) {
  return resource.size / resource.chunk_size + (resource.size % resource.chunk_size != 0);
}

uint32_t EntrySize(const Resource& resource) { return !resource.solid && resource.size > 0xffffffff ? 8 : 4; }

// The format's own limits (wimlib: wim.c), and ours on memory.
void CheckChunkSize(const Resource& resource) {
  const uint32_t size = resource.chunk_size;
  const bool power_of_two = size != 0 && (size & (size - 1)) == 0;
  uint32_t least = 1u << 15;
  uint32_t most = 1u << 30;
  if (resource.compression == WIMLIB_COMPRESSION_TYPE_XPRESS) {
    least = 1u << 12;
    most = 1u << 16;
  } else if (resource.compression == WIMLIB_COMPRESSION_TYPE_LZX) {
    most = 1u << 21;
  }
  if (!power_of_two || size < least || size > most) {
    throw Error("WIM_CORRUPT", resource.Describe() + ": a chunk size of " + std::to_string(size) + " is not allowed");
  }
  if (size > kLargestChunk) {
    throw Error("UNSUPPORTED", resource.Describe() + ": chunks of " + std::to_string(size >> 20) +
                                   " MiB need more memory than Stowage allows for one (256 MiB)");
  }
}

// A chunk that does not shrink is stored raw, so apart from tables nothing is larger packed than unpacked. A resource
// that claims to be must not make us allocate memory for it.
void CheckPackedSize(const Resource& resource) {
  const uint64_t largest = resource.size + ChunkCount(resource) * (8 + kChunkPrefixSize) + kSolidHeaderSize;
  if (resource.size <= UINT64_MAX / 2 && resource.size_in_wim <= largest) return;
  throw Error("WIM_CORRUPT", resource.Describe() + ": " + std::to_string(resource.size_in_wim) +
                                 " bytes in the WIM for " + std::to_string(resource.size) + " bytes of content");
}

[[noreturn]] void BadChunk(const Resource& resource, uint64_t index, const char* what) {
  throw Error("WIM_CORRUPT", resource.Describe() + ": chunk " + std::to_string(index) + " " + what);
}

}  // namespace

Resource Resource::From(const File& file, const Header& header, const ResourceHeader& at) {
  Resource resource;
  resource.file = &file;
  resource.offset = at.offset;
  resource.size_in_wim = at.size_in_wim;
  resource.size = at.uncompressed_size;
  resource.part = header.part;
  resource.pipable = header.pipable;
  resource.chunk_size = header.chunk_size;
  if (at.flags & ResourceHeader::kSolid) {
    std::array<uint8_t, kSolidHeaderSize> bytes;
    resource.CheckBounds();
    if (at.size_in_wim < kSolidHeaderSize)
      throw Error("WIM_CORRUPT", resource.Describe() + ": too short for a solid resource");
    file.Read(bytes.data(), bytes.size(), at.offset);
    resource.solid = true;
    resource.size = Load64(bytes.data());
    resource.chunk_size = Load32(bytes.data() + 8);
    resource.compression = static_cast<int>(Load32(bytes.data() + 12));
    if (resource.compression < WIMLIB_COMPRESSION_TYPE_XPRESS || resource.compression > WIMLIB_COMPRESSION_TYPE_LZMS) {
      throw Error("WIM_CORRUPT",
                  resource.Describe() + ": unknown compression type " + std::to_string(resource.compression));
    }
    CheckChunkSize(resource);
    CheckPackedSize(resource);
  } else if (at.flags & ResourceHeader::kCompressed) {
    resource.compression = header.compression;
    if (resource.compression == WIMLIB_COMPRESSION_TYPE_NONE) {
      throw Error("WIM_CORRUPT",
                  resource.Describe() + ": it is compressed, but the header of the WIM names no compression");
    }
    CheckChunkSize(resource);
    CheckPackedSize(resource);
  } else if (at.size_in_wim != at.uncompressed_size) {
    throw Error("WIM_CORRUPT", resource.Describe() + ": stored raw, but its two sizes differ");
  }
  return resource;
}

std::string Resource::Describe() const { return file->path() + ", resource at offset " + std::to_string(offset); }

void Resource::CheckBounds() const {
  if (offset <= file->size() && size_in_wim <= file->size() - offset) return;
  throw Error("WIM_CORRUPT", Describe() + ": it should end at " + std::to_string(offset) + " + " +
                                 std::to_string(size_in_wim) + " but the file has " + std::to_string(file->size()) +
                                 " bytes");
}

TableSpan ChunkTableSpan(const Resource& resource) {
  if (resource.compression == WIMLIB_COMPRESSION_TYPE_NONE || resource.size == 0) return {resource.offset, 0};
  const uint64_t count = ChunkCount(resource);
  // Each chunk takes at least a byte, so there cannot be more chunks than bytes.
  if (count > resource.size_in_wim) {
    throw Error("WIM_CORRUPT", resource.Describe() + ": " + std::to_string(resource.size_in_wim) +
                                   " bytes cannot hold " + std::to_string(count) + " chunks");
  }
  const uint64_t entries = resource.solid ? count : count - 1;
  const uint64_t size = entries * EntrySize(resource);
  const uint64_t head = resource.solid ? kSolidHeaderSize : 0;
  if (head + size > resource.size_in_wim)
    throw Error("WIM_CORRUPT", resource.Describe() + ": shorter than its chunk table");
  if (resource.pipable) return {resource.offset + resource.size_in_wim - size, size};
  return {resource.offset + head, size};
}

std::vector<Chunk> ParseChunks(const Resource& resource, const uint8_t* table) {
  std::vector<Chunk> chunks;
  if (resource.size == 0) return chunks;
  if (resource.compression == WIMLIB_COMPRESSION_TYPE_NONE) {
    for (uint64_t done = 0; done < resource.size; done += kRawPiece) {
      const auto size = static_cast<uint32_t>(std::min<uint64_t>(kRawPiece, resource.size - done));
      chunks.push_back({resource.offset + done, size, size});
    }
    return chunks;
  }
  const TableSpan span = ChunkTableSpan(resource);
  const uint64_t count = ChunkCount(resource);
  const uint64_t begin = resource.pipable ? resource.offset : span.offset + span.size;
  const uint64_t end = resource.pipable ? span.offset : resource.offset + resource.size_in_wim;
  const uint32_t entry_size = EntrySize(resource);
  const uint32_t prefix = resource.pipable ? kChunkPrefixSize : 0;
  chunks.reserve(count);
  uint64_t at = 0;  // of the chunk, from `begin`, prefixes not counted
  for (uint64_t i = 0; i < count; i++) {
    const uint64_t left = resource.size - i * resource.chunk_size;
    const auto size = static_cast<uint32_t>(std::min<uint64_t>(resource.chunk_size, left));
    const uint64_t room = end - begin - prefix * count;
    if (prefix * count > end - begin) BadChunk(resource, i, "leaves no room for the prefixes");
    uint64_t next = room;
    if (resource.solid) {
      next = at + Load32(table + i * 4);
    } else if (i + 1 < count) {
      next = entry_size == 8 ? Load64(table + i * 8) : Load32(table + i * 4);
    }
    if (next <= at || next > room) BadChunk(resource, i, "ends outside the resource");
    if (next - at > size) BadChunk(resource, i, "is larger compressed than uncompressed");
    chunks.push_back({begin + at + prefix * (i + 1), static_cast<uint32_t>(next - at), size});
    at = next;
  }
  return chunks;
}

std::vector<Chunk> ReadChunks(const Resource& resource) {
  resource.CheckBounds();
  const TableSpan span = ChunkTableSpan(resource);
  std::vector<uint8_t> table(span.size);
  if (span.size > 0) resource.file->Read(table.data(), table.size(), span.offset);
  return ParseChunks(resource, table.data());
}

void UnpackChunk(const Resource& resource, const Chunk& chunk, const uint8_t* from, uint8_t* to,
                 Decompressors& decompressors) {
  if (chunk.size_in_wim == chunk.size) {
    std::memcpy(to, from, chunk.size);
    return;
  }
  decompressors.Decompress(resource.compression, resource.chunk_size, from, chunk.size_in_wim, to, chunk.size,
                           resource.file->path() + ", chunk at offset " + std::to_string(chunk.offset));
}

std::vector<uint8_t> ReadWhole(const Resource& resource, uint64_t limit, Decompressors& decompressors) {
  if (resource.size > limit) {
    throw Error("WIM_CORRUPT", resource.Describe() + ": " + std::to_string(resource.size) +
                                   " bytes, more than Stowage accepts in a file of this size (" +
                                   std::to_string(limit) + ")");
  }
  const std::vector<Chunk> chunks = ReadChunks(resource);
  std::vector<uint8_t> bytes(resource.size);
  // Chunks `from` to `to`, of which the first goes to `at`.
  const auto unpack = [&](size_t from, size_t to, uint8_t* at, Decompressors& own) {
    std::vector<uint8_t> packed;
    for (size_t n = from; n < to; n++) {
      const Chunk& chunk = chunks[n];
      packed.resize(chunk.size_in_wim);
      resource.file->Read(packed.data(), packed.size(), chunk.offset);
      UnpackChunk(resource, chunk, packed.data(), at, own);
      at += chunk.size;
    }
  };
  if (chunks.size() < kChunksForTwo) {
    unpack(0, chunks.size(), bytes.data(), decompressors);
    return bytes;
  }
  // Two threads, because the caller waits: the metadata of a Windows image is many megabytes.
  const size_t half = chunks.size() / 2;
  uint64_t first_half = 0;
  for (size_t n = 0; n < half; n++) first_half += chunks[n].size;
  // `deferred` too: if no thread can be started, this one does the work.
  auto other = std::async(std::launch::async | std::launch::deferred, [&] {
    Decompressors own;
    unpack(half, chunks.size(), bytes.data() + first_half, own);
  });
  std::exception_ptr failure;
  try {
    unpack(0, half, bytes.data(), decompressors);
  } catch (...) {
    failure = std::current_exception();
  }
  other.wait();
  if (failure) std::rethrow_exception(failure);
  other.get();
  return bytes;
}

}  // namespace stowage::wim
