// What the code for Windows shares: names and errors of its functions.
#ifndef STOWAGE_BASE_WINDOWS_PATH_H_
#define STOWAGE_BASE_WINDOWS_PATH_H_

#include <string>

namespace stowage {

// Converts UTF-8 to what Windows' own functions take.
std::wstring Wide(const std::string& text);

// The name of a file as Windows' own functions take it, of any length: absolute, in the form that begins with \\?\, in
// which "aux.txt" and "name." are names like others. Node.js opens files by the same names.
std::wstring SystemPath(const std::wstring& path);
inline std::wstring SystemPath(const std::string& path) { return SystemPath(Wide(path)); }

// GetLastError() as an errno.
int ErrnoOfLastError();

}  // namespace stowage

#endif  // STOWAGE_BASE_WINDOWS_PATH_H_
