#include "link_target.h"

#include <algorithm>
#include <string_view>

#include "../base/little_endian.h"
#include "text.h"

namespace stowage::wim {

namespace {

constexpr uint32_t kRelative = 1;

// What follows the device or drive in the name that the kernel of Windows has for a path.
std::u16string_view WithoutDevice(std::u16string_view name) {
  for (const std::u16string_view directory : {u"\\??\\", u"\\DosDevices\\", u"\\Device\\"}) {
    if (name.substr(0, directory.size()) != directory) continue;
    const size_t device = name.find_first_not_of(u'\\', directory.size());
    const size_t rest = device == std::u16string_view::npos ? device : name.find(u'\\', device);
    return rest == std::u16string_view::npos ? std::u16string_view() : name.substr(rest);
  }
  return name;
}

}  // namespace

std::optional<std::string> LinkTarget(uint32_t tag, const std::vector<uint8_t>& data,
                                      const std::optional<std::string>& root) {
  const size_t head = tag == kTagSymbolicLink ? 12 : 8;
  if (data.size() < head) return std::nullopt;
  const size_t offset = Load16(data.data());
  const size_t size = Load16(data.data() + 2);
  const size_t print_offset = Load16(data.data() + 4);
  const size_t print_size = Load16(data.data() + 6);
  if ((offset | size | print_offset | print_size) % 2 != 0) return std::nullopt;
  if (offset + size > data.size() - head || print_offset + print_size > data.size() - head) return std::nullopt;
  std::u16string name;
  for (size_t at = 0; at < size; at += 2) name += static_cast<char16_t>(Load16(data.data() + head + offset + at));
  const bool relative = tag == kTagSymbolicLink && (Load32(data.data() + 8) & kRelative);
  std::string target = Wtf8FromUtf16(relative ? std::u16string_view(name) : WithoutDevice(name));
  for (char& c : target) c = c == '\\' ? '/' : c == '/' ? '\\' : c;
  if (root && !relative) target.insert(0, *root);
  if (target.empty()) target = "/";
  return target.substr(0, target.find('\0'));  // as a link of UNIX ends
}

}  // namespace stowage::wim
