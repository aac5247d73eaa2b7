#include "path_list.h"

#include <algorithm>
#include <cstdint>

#include "../base/error.h"
#include "../base/file.h"
#include "../base/little_endian.h"
#include "text.h"

namespace stowage::wim {

std::vector<std::string> ReadPathList(const std::string& path) {
  constexpr uint64_t kLargestList = 64u << 20;
  const File file(path, File::Mode::kRead);
  if (file.size() > kLargestList) throw Error("INVALID_ARGUMENT", path + " is too large for a list of paths");
  std::string text(file.size(), '\0');
  file.Read(text.data(), text.size(), 0);
  if (text.compare(0, 2, "\xff\xfe") == 0) {
    std::u16string units;
    for (size_t at = 2; at + 1 < text.size(); at += 2)
      units += static_cast<char16_t>(Load16(reinterpret_cast<const uint8_t*>(text.data()) + at));
    text = Wtf8FromUtf16(units);
  } else if (text.compare(0, 3, "\xef\xbb\xbf") == 0) {
    text.erase(0, 3);
  }
  std::vector<std::string> paths;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    at = end + 1;
    const auto trim = [&](const char* of) {
      line.erase(0, std::min(line.find_first_not_of(of), line.size()));
      line.erase(line.find_last_not_of(of) + 1);
    };
    trim(" \t\v\f\r");
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    const char quote = line[0];
    if (line.size() >= 2 && (quote == '"' || quote == '\'') && line.find(quote, 1) == line.size() - 1)
      line = line.substr(1, line.size() - 2);
    paths.push_back(line);
  }
  return paths;
}

}  // namespace stowage::wim
