// Which names the files of this system can have.
#ifndef STOWAGE_WIM_FILE_NAMES_H_
#define STOWAGE_WIM_FILE_NAMES_H_

#include <optional>
#include <string>

namespace stowage::wim {

// Names are WTF-8, not empty and without NUL.
bool IsFileName(const std::string& name);

// The name with '?', or what this system has for it, in place of what it does not allow.
std::string WithoutInvalid(std::string name);

// What is the same for names that are one name here; nothing if only equal names are.
std::optional<std::string> FoldedName(const std::string& name);

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_FILE_NAMES_H_
