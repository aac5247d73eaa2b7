#include "text.h"

#include <cstdint>

namespace stowage::wim {

namespace {

constexpr char16_t kReplacement = 0xfffd;

bool IsHigh(char16_t unit) { return unit >= 0xd800 && unit <= 0xdbff; }
bool IsLow(char16_t unit) { return unit >= 0xdc00 && unit <= 0xdfff; }

void AppendWtf8(std::string* to, uint32_t point) {
  const auto add = [to](uint32_t byte) { to->push_back(static_cast<char>(byte)); };
  if (point < 0x80) {
    add(point);
  } else if (point < 0x800) {
    add(0xc0 | point >> 6);
    add(0x80 | (point & 0x3f));
  } else if (point < 0x10000) {
    add(0xe0 | point >> 12);
    add(0x80 | (point >> 6 & 0x3f));
    add(0x80 | (point & 0x3f));
  } else {
    add(0xf0 | point >> 18);
    add(0x80 | (point >> 12 & 0x3f));
    add(0x80 | (point >> 6 & 0x3f));
    add(0x80 | (point & 0x3f));
  }
}

// The code point at `at`, and how many bytes it has; 0 bytes if there is none.
uint32_t PointAt(std::string_view text, size_t at, size_t* size) {
  const auto byte = [&](size_t n) { return static_cast<uint8_t>(text[at + n]); };
  const uint8_t first = byte(0);
  const size_t length = first < 0x80                    ? 1
                        : first >= 0xc2 && first < 0xe0 ? 2
                        : first >= 0xe0 && first < 0xf0 ? 3
                        : first >= 0xf0 && first < 0xf5 ? 4
                                                        : 0;
  *size = 0;
  if (length == 0 || length > text.size() - at) return 0;
  uint32_t point = length == 1 ? first : first & (0xffu >> (length + 1));
  for (size_t n = 1; n < length; n++) {
    if ((byte(n) & 0xc0) != 0x80) return 0;
    point = point << 6 | (byte(n) & 0x3f);
  }
  const uint32_t least = length == 3 ? 0x800 : length == 4 ? 0x10000 : 0;
  if (point < least || point > 0x10ffff) return 0;
  *size = length;
  return point;
}

}  // namespace

std::string Wtf8FromUtf16(std::u16string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t at = 0; at < text.size(); at++) {
    uint32_t point = text[at];
    if (IsHigh(text[at]) && at + 1 < text.size() && IsLow(text[at + 1])) {
      point = 0x10000 + ((point - 0xd800) << 10) + (text[++at] - 0xdc00u);
    }
    AppendWtf8(&result, point);
  }
  return result;
}

std::u16string Utf16FromWtf8(std::string_view text) {
  std::u16string result;
  result.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    size_t size = 0;
    const uint32_t point = PointAt(text, at, &size);
    if (size == 0) {
      result.push_back(kReplacement);
      at += 1;
      continue;
    }
    at += size;
    if (point < 0x10000) {
      result.push_back(static_cast<char16_t>(point));
    } else {
      result.push_back(static_cast<char16_t>(0xd800 + ((point - 0x10000) >> 10)));
      result.push_back(static_cast<char16_t>(0xdc00 + ((point - 0x10000) & 0x3ff)));
    }
  }
  return result;
}

#ifdef _WIN32
LibraryText ToLibrary(const std::string& text) {
  const std::u16string units = Utf16FromWtf8(text);
  return LibraryText(units.begin(), units.end());
}

std::string FromLibrary(const wimlib_tchar* text) {
  if (text == nullptr) return {};
  const LibraryText units(text);
  return Wtf8FromUtf16(std::u16string(units.begin(), units.end()));
}
#endif

}  // namespace stowage::wim
