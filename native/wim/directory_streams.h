// The form in which metadata holds the streams of directories. libwim before 1.14.2 gives a directory with named
// streams, or one that is a reparse point, an entry for an unnamed data stream, which no directory has. DISM
// (10.0.20348.681 and later) and some Windows setups refuse that; libwim 1.14.2 and src/wim/metadata-writer.ts leave it
// out. Source: wimlib's NEWS for 1.14.2.
#ifndef STOWAGE_WIM_DIRECTORY_STREAMS_H_
#define STOWAGE_WIM_DIRECTORY_STREAMS_H_

#include <cstdint>
#include <optional>
#include <vector>

namespace stowage::wim {

// A metadata resource whose directories have no such entries; all else has the same bytes, at other offsets. The
// unnamed stream that is then the only one of its directory, its reparse data, moves into the dentry. Nothing if
// `metadata` has no such entries, or is damaged.
std::optional<std::vector<uint8_t>> MendDirectoryStreams(const std::vector<uint8_t>& metadata);

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_DIRECTORY_STREAMS_H_
