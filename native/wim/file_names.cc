#ifndef _WIN32
#include "file_names.h"

#include <algorithm>

namespace stowage::wim {

bool IsFileName(const std::string& name) { return name.find('/') == std::string::npos; }

std::string WithoutInvalid(std::string name) {
  std::replace(name.begin(), name.end(), '/', '?');
  return name;
}

std::optional<std::string> FoldedName(const std::string&) { return std::nullopt; }

}  // namespace stowage::wim
#endif
