// The list file of an extraction.
#ifndef STOWAGE_WIM_PATH_LIST_H_
#define STOWAGE_WIM_PATH_LIST_H_

#include <string>
#include <vector>

namespace stowage::wim {

// The paths in a text file, in UTF-8 or UTF-16LE: one per line, in quotes or not; ';' and '#' begin comments.
std::vector<std::string> ReadPathList(const std::string& path);

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_PATH_LIST_H_
