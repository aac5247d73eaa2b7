// The integrity table of a file: a SHA-1 for each few megabytes of it, from the end of the header to the end of the
// blob table. Source: Microsoft's WIM white paper, "Integrity table"; wimlib for what it covers.
#ifndef STOWAGE_WIM_INTEGRITY_H_
#define STOWAGE_WIM_INTEGRITY_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "../base/file.h"
#include "../base/hash.h"

namespace stowage::wim {

struct IntegrityTable {
  // Where the bytes it covers begin and end in the file.
  uint64_t begin = 0;
  uint64_t end = 0;
  uint32_t chunk_size = 0;
  std::vector<Sha1Hash> hashes;

  // Nothing if the file has none. Throws WIM_CORRUPT if the table cannot be right.
  static std::optional<IntegrityTable> Read(const File& file);

  uint64_t ChunkBegin(size_t chunk) const { return begin + chunk * chunk_size; }
  uint64_t ChunkSize(size_t chunk) const;
  // SHA-1 of the chunk as it is in the file. `stop` is called before each MiB; if it returns true, the hash is
  // meaningless.
  template <typename Stop>
  Sha1Hash HashOf(const File& file, size_t chunk, Stop stop) const {
    std::vector<uint8_t> bytes;
    Sha1 sha1;
    const uint64_t size = ChunkSize(chunk);
    for (uint64_t done = 0; done < size && !stop(); done += bytes.size()) {
      bytes.resize(static_cast<size_t>(size - done < kPiece ? size - done : kPiece));
      file.Read(bytes.data(), bytes.size(), ChunkBegin(chunk) + done);
      sha1.Update(bytes.data(), bytes.size());
    }
    return sha1.Finish();
  }

 private:
  static constexpr uint64_t kPiece = 1u << 20;
};

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_INTEGRITY_H_
