// The target of a symbolic link on UNIX that stands for one of Windows, or for a junction.
#ifndef STOWAGE_WIM_LINK_TARGET_H_
#define STOWAGE_WIM_LINK_TARGET_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace stowage::wim {

constexpr uint32_t kTagSymbolicLink = 0xa000000c;
constexpr uint32_t kTagMountPoint = 0xa0000003;
// Of reparse data as a WIM has it: 16 KiB with the 8 bytes before it.
constexpr uint64_t kLargestReparseData = 16376;

// The target in WTF-8, with '/' and '\' exchanged. Of an absolute one, device or drive are left out; `root`, which has
// no '/' at its end, comes before it if it is given. Nothing if the data is not that of a link. Source: [MS-FSCC]
// 2.1.2.4 and 2.1.2.5, and the links that wimlib-imagex makes.
std::optional<std::string> LinkTarget(uint32_t tag, const std::vector<uint8_t>& data,
                                      const std::optional<std::string>& root);

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_LINK_TARGET_H_
