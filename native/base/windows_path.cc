#ifdef _WIN32
#include "windows_path.h"

#include <windows.h>

#include <algorithm>
#include <cerrno>
#include <cwctype>
#include <string_view>
#include <vector>

namespace stowage {

namespace {

constexpr wchar_t kLong[] = L"\\\\?\\";
constexpr wchar_t kLongShare[] = L"\\\\?\\UNC\\";

std::wstring CurrentDirectory(const wchar_t* of) {
  const DWORD size = GetFullPathNameW(of, 0, nullptr, nullptr);
  std::wstring path(size, L'\0');
  path.resize(GetFullPathNameW(of, size, path.data(), nullptr));
  return path;
}

bool IsDrive(std::wstring_view path) { return path.size() >= 2 && path[1] == L':' && std::iswalpha(path[0]); }

// "C:\" or "\\server\share\": what ".." does not leave.
size_t RootSize(const std::wstring& path) {
  if (IsDrive(path)) return 3;
  size_t at = 1;
  for (int n = 0; n < 2 && at != std::wstring::npos; n++) at = path.find(L'\\', at + 1);
  return at == std::wstring::npos ? path.size() : at + 1;
}

// Makes it absolute.
std::wstring Absolute(const std::wstring& path) {
  const bool share = path.compare(0, 2, L"\\\\") == 0;
  const bool drive = IsDrive(path);
  if (share || (drive && path.size() > 2 && path[2] == L'\\')) return path;
  // Of the drive that is named, for "C:name"; the current one otherwise
  std::wstring from = CurrentDirectory(drive ? (path.substr(0, 2) + L".").c_str() : L".");
  const std::wstring rest = drive ? path.substr(2) : path;
  if (!rest.empty() && rest.front() == L'\\') from.resize(RootSize(from));
  if (from.empty() || from.back() != L'\\') from += L'\\';
  return from + rest;
}

}  // namespace

std::wstring Wide(const std::string& text) {
  const int size = MultiByteToWideChar(CP_UTF8, 0, text.data(), static_cast<int>(text.size()), nullptr, 0);
  std::wstring wide(static_cast<size_t>(size), L'\0');
  MultiByteToWideChar(CP_UTF8, 0, text.data(), static_cast<int>(text.size()), wide.data(), size);
  return wide;
}

std::wstring SystemPath(const std::wstring& path) {
  std::wstring text = path;
  std::replace(text.begin(), text.end(), L'/', L'\\');
  if (text.compare(0, 4, kLong) == 0 || text.compare(0, 4, L"\\\\.\\") == 0 || text.compare(0, 4, L"\\??\\") == 0)
    return path;
  text = Absolute(text);
  const size_t root = std::min(RootSize(text), text.size());
  std::vector<std::wstring_view> parts;
  for (std::wstring_view rest = std::wstring_view(text).substr(root); !rest.empty();) {
    const size_t end = std::min(rest.find(L'\\'), rest.size());
    const std::wstring_view part = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (part == L"..") {
      if (!parts.empty()) parts.pop_back();
    } else if (!part.empty() && part != L".") {
      parts.push_back(part);
    }
  }
  const bool share = text.compare(0, 2, L"\\\\") == 0;
  std::wstring result = share ? kLongShare + text.substr(2, root - 2) : kLong + text.substr(0, root);
  for (size_t n = 0; n < parts.size(); n++) {
    if (n > 0 || result.back() != L'\\') result += L'\\';
    result += parts[n];
  }
  return result;
}

int ErrnoOfLastError() {
  switch (GetLastError()) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_BAD_NETPATH:
    case ERROR_BAD_NET_NAME:
    case ERROR_INVALID_NAME:
    case ERROR_PATH_NOT_FOUND: return ENOENT;
    case ERROR_ACCESS_DENIED:
    case ERROR_LOCK_VIOLATION:
    case ERROR_SHARING_VIOLATION: return EACCES;
    case ERROR_ALREADY_EXISTS:
    case ERROR_FILE_EXISTS: return EEXIST;
    case ERROR_DISK_FULL:
    case ERROR_HANDLE_DISK_FULL: return ENOSPC;
    case ERROR_FILENAME_EXCED_RANGE: return ENAMETOOLONG;
    case ERROR_PRIVILEGE_NOT_HELD: return EPERM;
    case ERROR_TOO_MANY_OPEN_FILES: return EMFILE;
    case ERROR_WRITE_PROTECT: return EROFS;
    default: return EIO;
  }
}

}  // namespace stowage
#endif
