#ifdef _WIN32
#include "windows_target_directory.h"

#include <windows.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "../base/error.h"
#include "../base/windows_path.h"
#include "text.h"

namespace stowage::wim {

namespace {

// Directories kept open.
constexpr size_t kMostOpen = 64;
constexpr size_t kCopySize = 1 << 20;
constexpr DWORD kShareAll = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
constexpr DWORD kKeptAttributes = FILE_ATTRIBUTE_READONLY | FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM |
                                  FILE_ATTRIBUTE_ARCHIVE | FILE_ATTRIBUTE_NOT_CONTENT_INDEXED;

// Newer than the headers of mingw-w64. Source: Microsoft, "CreateSymbolicLinkW".
constexpr DWORD kUnprivileged = 2;

DWORD AttributesOf(const std::wstring& name) { return GetFileAttributesW(name.c_str()); }

bool Is(const std::wstring& name, DWORD attribute) {
  const DWORD attributes = AttributesOf(name);
  return attributes != INVALID_FILE_ATTRIBUTES && (attributes & attribute) != 0;
}

// Null if it is no directory or, unless `follow`, a reparse point.
TargetDirectory::Handle OpenDirectory(const std::wstring& name, bool follow) {
  const DWORD flags = FILE_FLAG_BACKUP_SEMANTICS | (follow ? 0 : FILE_FLAG_OPEN_REPARSE_POINT);
  const HANDLE handle = CreateFileW(name.c_str(), FILE_LIST_DIRECTORY | FILE_READ_ATTRIBUTES,
                                    FILE_SHARE_READ | FILE_SHARE_WRITE, nullptr, OPEN_EXISTING, flags, nullptr);
  if (handle == INVALID_HANDLE_VALUE) return nullptr;
  TargetDirectory::Handle directory(handle);
  BY_HANDLE_FILE_INFORMATION facts;
  if (!GetFileInformationByHandle(handle, &facts)) return nullptr;
  const bool link = (facts.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0;
  if ((facts.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) && (follow || !link)) return directory;
  SetLastError(ERROR_ALREADY_EXISTS);
  return nullptr;
}

OVERLAPPED At(uint64_t offset) {
  OVERLAPPED position = {};
  position.Offset = static_cast<DWORD>(offset);
  position.OffsetHigh = static_cast<DWORD>(offset >> 32);
  return position;
}

}  // namespace

void TargetDirectory::CloseFile::operator()(void* handle) const { CloseHandle(handle); }

void TargetDirectory::Create(const std::string& path) {
  if (CreateDirectoryW(SystemPath(path).c_str(), nullptr) || GetLastError() == ERROR_ALREADY_EXISTS) return;
  const Error error = SystemError(ErrnoOfLastError(), "create directory " + path);
  throw Error("WIMLIB_ERR_MKDIR", error.what()).From(error.code());
}

bool TargetDirectory::IsLink(const std::string& path) { return Is(SystemPath(path), FILE_ATTRIBUTE_REPARSE_POINT); }

std::string TargetDirectory::RealPath(const std::string& path) {
  const Handle directory = OpenDirectory(SystemPath(path), true);
  std::wstring name(32768, L'\0');
  const DWORD size =
      directory ? GetFinalPathNameByHandleW(directory.get(), name.data(), static_cast<DWORD>(name.size()), 0) : 0;
  if (size == 0 || size >= name.size()) throw SystemError(ErrnoOfLastError(), "find " + path);
  name.resize(size);
  std::string text = FromLibrary(name.c_str());
  if (text.compare(0, 4, "\\\\?\\") == 0) text.erase(0, 4);
  while (!text.empty() && text.back() == '\\') text.pop_back();
  return text;
}

TargetDirectory::TargetDirectory(const std::string& path, Links links, const ExtractionPlan& plan)
    : path_(path), root_(SystemPath(path)), plan_(plan) {
  Create(path);
  target_ = OpenDirectory(root_, links == Links::kFollow);
  if (!target_) Fail("WIMLIB_ERR_MKDIR", "extract to", ExtractionPlan::kTarget, ErrnoOfLastError());
}

void TargetDirectory::Fail(const char* code, const std::string& doing, uint32_t node, int number) const {
  const Error error = SystemError(number, doing + " " + PathOf(node));
  throw Error(code, error.what()).From(error.code());
}

std::wstring TargetDirectory::NameOf(uint32_t node) const {
  std::string path = plan_.PathOf(node);
  std::replace(path.begin(), path.end(), '/', '\\');  // which names here do not contain
  return root_ + ToLibrary(path);
}

std::shared_ptr<void> TargetDirectory::Open(uint32_t node) {
  // No recursion: a tree may be deep.
  std::vector<uint32_t> closed;
  for (; node != ExtractionPlan::kTarget && open_.find(node) == open_.end(); node = plan_.DirectoryOf(node))
    closed.push_back(node);
  std::shared_ptr<void> directory = node == ExtractionPlan::kTarget ? target_ : open_[node];
  for (auto next = closed.rbegin(); next != closed.rend(); ++next) {
    std::shared_ptr<void> below = OpenDirectory(NameOf(*next), false);
    if (!below) Fail("WIMLIB_ERR_OPENDIR", "open directory", *next, ErrnoOfLastError());
    if (open_.size() >= kMostOpen) open_.clear();
    open_[*next] = directory = std::move(below);
  }
  return directory;
}

void TargetDirectory::Clear(uint32_t node, const std::wstring& name) const {
  const DWORD attributes = AttributesOf(name);
  if (attributes == INVALID_FILE_ATTRIBUTES) return;
  const bool directory = (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
  if (directory && !(attributes & FILE_ATTRIBUTE_REPARSE_POINT)) Fail("WIMLIB_ERR_OPEN", "create", node, EISDIR);
  if (attributes & FILE_ATTRIBUTE_READONLY) SetFileAttributesW(name.c_str(), FILE_ATTRIBUTE_NORMAL);
  if (!(directory ? RemoveDirectoryW(name.c_str()) : DeleteFileW(name.c_str())))
    Fail("WIMLIB_ERR_OPEN", "replace", node, ErrnoOfLastError());
}

void TargetDirectory::MakeDirectory(uint32_t node) {
  const std::shared_ptr<void> parent = Open(plan_.DirectoryOf(node));
  if (!CreateDirectoryW(NameOf(node).c_str(), nullptr) && GetLastError() != ERROR_ALREADY_EXISTS)
    Fail("WIMLIB_ERR_MKDIR", "create directory", node, ErrnoOfLastError());
  Open(node);
}

TargetDirectory::NewFile::NewFile(TargetDirectory& target, uint32_t node)
    : target_(target), node_(node), directory_(target.Open(target.plan_.DirectoryOf(node))) {
  const std::wstring name = target.NameOf(node);
  target.Clear(node, name);
  const HANDLE handle = CreateFileW(name.c_str(), GENERIC_READ | GENERIC_WRITE | DELETE, kShareAll, nullptr, CREATE_NEW,
                                    FILE_ATTRIBUTE_NORMAL | FILE_FLAG_OPEN_REPARSE_POINT, nullptr);
  if (handle == INVALID_HANDLE_VALUE) target.Fail("WIMLIB_ERR_OPEN", "create", node, ErrnoOfLastError());
  file_.reset(handle);
}

TargetDirectory::NewFile::~NewFile() {
  if (finished_) return;
  FILE_DISPOSITION_INFO removed = {TRUE};
  SetFileInformationByHandle(file_.get(), FileDispositionInfo, &removed, sizeof removed);
}

void TargetDirectory::NewFile::Write(const uint8_t* data, size_t size) {
  while (size > 0) {
    OVERLAPPED position = At(size_);
    DWORD written = 0;
    if (!WriteFile(file_.get(), data, static_cast<DWORD>(std::min(size, kCopySize)), &written, &position))
      target_.Fail("WIMLIB_ERR_WRITE", "write", node_, ErrnoOfLastError());
    data += written;
    size -= written;
    size_ += written;
  }
}

void TargetDirectory::NewFile::Copy(const NewFile& from, const std::function<void()>& watch) {
  std::vector<uint8_t> buffer(static_cast<size_t>(std::min<uint64_t>(from.size_, kCopySize)));
  while (size_ < from.size_) {
    OVERLAPPED position = At(size_);
    DWORD read = 0;
    if (!ReadFile(from.file_.get(), buffer.data(), static_cast<DWORD>(buffer.size()), &read, &position) || read == 0)
      target_.Fail("WIMLIB_ERR_READ", "read", from.node_, ErrnoOfLastError());
    Write(buffer.data(), read);
    watch();
  }
}

void TargetDirectory::NewFile::Finish(const FileFacts& facts) {
  target_.SetFactsOf(file_.get(), node_, facts);
  finished_ = true;
}

void TargetDirectory::SetFactsOf(void* handle, uint32_t node, const FileFacts& facts) const {
  FILE_BASIC_INFO info = {};
  info.CreationTime.QuadPart = static_cast<LONGLONG>(facts.creation_time);
  info.LastAccessTime.QuadPart = static_cast<LONGLONG>(facts.access_time);
  info.LastWriteTime.QuadPart = static_cast<LONGLONG>(facts.write_time);
  info.FileAttributes = facts.attributes & kKeptAttributes;
  if (!SetFileInformationByHandle(handle, FileBasicInfo, &info, sizeof info) && facts.strict_times)
    Fail("WIMLIB_ERR_SET_TIMESTAMPS", "set the times of", node, ErrnoOfLastError());
}

// `target` is a link's of UNIX, with slashes.
void TargetDirectory::MakeLink(uint32_t node, const std::string& target, const FileFacts& facts) {
  const std::shared_ptr<void> directory = Open(plan_.DirectoryOf(node));
  const std::wstring name = NameOf(node);
  Clear(node, name);
  std::wstring text = ToLibrary(target);
  std::replace(text.begin(), text.end(), L'/', L'\\');
  const DWORD flags = facts.attributes & FILE_ATTRIBUTE_DIRECTORY ? SYMBOLIC_LINK_FLAG_DIRECTORY : 0;
  if (!CreateSymbolicLinkW(name.c_str(), text.c_str(), flags | kUnprivileged))
    Fail("WIMLIB_ERR_LINK", "create the symbolic link", node, ErrnoOfLastError());
  const HANDLE handle = CreateFileW(name.c_str(), FILE_WRITE_ATTRIBUTES, kShareAll, nullptr, OPEN_EXISTING,
                                    FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT, nullptr);
  if (handle == INVALID_HANDLE_VALUE) Fail("WIMLIB_ERR_LINK", "create the symbolic link", node, ErrnoOfLastError());
  SetFactsOf(Handle(handle).get(), node, facts);
}

bool TargetDirectory::MakeSpecial(uint32_t, const FileFacts&) { return false; }

void TargetDirectory::MakeHardLink(uint32_t existing, uint32_t node) {
  const std::shared_ptr<void> from = Open(plan_.DirectoryOf(existing));
  const std::shared_ptr<void> to = Open(plan_.DirectoryOf(node));
  const std::wstring old_name = NameOf(existing);
  const std::wstring name = NameOf(node);
  // Two names that come to one place.
  if (old_name == name) return;
  Clear(node, name);
  if (!CreateHardLinkW(name.c_str(), old_name.c_str(), nullptr))
    Fail("WIMLIB_ERR_LINK", "create the hard link", node, ErrnoOfLastError());
}

void TargetDirectory::SetFacts(uint32_t node, const FileFacts& facts) {
  const std::shared_ptr<void> directory = Open(node);
  const std::wstring name = node == ExtractionPlan::kTarget ? root_ : NameOf(node);
  const HANDLE handle = CreateFileW(name.c_str(), FILE_WRITE_ATTRIBUTES, kShareAll, nullptr, OPEN_EXISTING,
                                    FILE_FLAG_BACKUP_SEMANTICS, nullptr);
  if (handle == INVALID_HANDLE_VALUE) {
    if (facts.strict_times) Fail("WIMLIB_ERR_SET_TIMESTAMPS", "set the times of", node, ErrnoOfLastError());
    return;
  }
  SetFactsOf(Handle(handle).get(), node, facts);
}

}  // namespace stowage::wim
#endif
