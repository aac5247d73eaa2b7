// Source: Microsoft, "Naming Files, Paths, and Namespaces".
#ifdef _WIN32
#include <windows.h>

#include <algorithm>

#include "../base/error.h"
#include "file_names.h"
#include "text.h"

namespace stowage::wim {

namespace {

bool IsInvalid(char c) {
  return static_cast<unsigned char>(c) < 0x20 || std::string("<>:\"/\\|?*").find(c) != std::string::npos;
}

// Windows' own programs cannot name what ends so.
bool EndsBadly(const std::string& name) { return name.back() == ' ' || name.back() == '.'; }

}  // namespace

bool IsFileName(const std::string& name) {
  return std::none_of(name.begin(), name.end(), IsInvalid) && !EndsBadly(name);
}

std::string WithoutInvalid(std::string name) {
  std::replace_if(name.begin(), name.end(), IsInvalid, '_');
  if (EndsBadly(name)) name.back() = '_';
  return name;
}

std::optional<std::string> FoldedName(const std::string& name) {
  const LibraryText text = ToLibrary(name);
  const int size = static_cast<int>(text.size());
  LibraryText upper(text.size(), L'\0');
  // Without linguistic rules: as file systems do it
  if (LCMapStringEx(LOCALE_NAME_INVARIANT, LCMAP_UPPERCASE, text.data(), size, upper.data(), size, nullptr, nullptr,
                    0) != size)
    throw Error("EOTHER", "the upper case of " + name + " cannot be found");
  return FromLibrary(upper.c_str());
}

}  // namespace stowage::wim
#endif
