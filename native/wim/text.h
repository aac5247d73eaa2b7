// Converts names between JavaScript and libwim: UTF-16 with lone surrogates on one side; WTF-8 (or, on Windows, UTF-16
// too) on the other. Source: the WTF-8 encoding, https://simonsapin.github.io/wtf-8/
#ifndef STOWAGE_WIM_TEXT_H_
#define STOWAGE_WIM_TEXT_H_

#include <wimlib.h>

#include <string>
#include <string_view>
#include <vector>

namespace stowage::wim {

std::string Wtf8FromUtf16(std::u16string_view text);
// Bytes that are not WTF-8, which POSIX file names may contain, become U+FFFD.
std::u16string Utf16FromWtf8(std::string_view text);

// Text as libwim takes and returns it.
using LibraryText = std::basic_string<wimlib_tchar>;
#ifdef _WIN32
LibraryText ToLibrary(const std::string& text);
std::string FromLibrary(const wimlib_tchar* text);
#else
inline std::string ToLibrary(std::string text) { return text; }
// Nothing for null.
inline std::string FromLibrary(const wimlib_tchar* text) { return text == nullptr ? std::string() : text; }
#endif

// Texts as libwim takes them, alive as long as this is.
class LibraryTexts {
 public:
  explicit LibraryTexts(const std::vector<std::string>& texts) {
    for (const std::string& text : texts) texts_.push_back(ToLibrary(text));
    for (const LibraryText& text : texts_) pointers_.push_back(text.c_str());
  }
  const wimlib_tchar* const* data() const { return pointers_.data(); }
  size_t size() const { return pointers_.size(); }

 private:
  std::vector<LibraryText> texts_;
  std::vector<const wimlib_tchar*> pointers_;
};

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_TEXT_H_
