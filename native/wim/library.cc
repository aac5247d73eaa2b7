#include "library.h"

#include <cerrno>
#include <cstdio>
#include <mutex>
#include <system_error>

#ifdef __GLIBC__
#include <dlfcn.h>
#endif

#include "../base/error.h"
#include "text.h"

namespace stowage::wim {

namespace {

// What libwim printed on this thread since the last BeginErrorText().
thread_local std::string error_text;
constexpr size_t kErrorTextLimit = 4096;

#ifdef __GLIBC__
ssize_t CatchErrorText(void*, const char* text, size_t size) {
  if (error_text.size() < kErrorTextLimit) error_text.append(text, size);
  return static_cast<ssize_t>(size);
}

std::FILE* OpenErrorSink() {
  cookie_io_functions_t functions = {};
  functions.write = CatchErrorText;
  std::FILE* sink = fopencookie(nullptr, "w", functions);
  // Unbuffered, so that the text of one thread is never written by another.
  if (sink != nullptr) std::setvbuf(sink, nullptr, _IONBF, 0);
  return sink;
}

void Ignore(void*, const char*, ...) {}

// libwim before 1.14 reads XML with libxml2, which prints its complaints to stderr, with bytes of the file. libwim
// reports the same errors, and a library must not write to the terminal.
void SilenceXmlParser() {
  using Handler = void (*)(void*, const char*, ...);
  void* library = dlopen("libxml2.so.2", RTLD_LAZY | RTLD_NOLOAD);
  if (library == nullptr) return;
  // The handler of this thread, and the default for new threads.
  for (const char* name : {"xmlSetGenericErrorFunc", "xmlThrDefSetGenericErrorFunc"}) {
    if (void* symbol = dlsym(library, name)) reinterpret_cast<void (*)(void*, Handler)>(symbol)(nullptr, Ignore);
  }
  dlclose(library);
}
#else
std::FILE* OpenErrorSink() { return nullptr; }
void SilenceXmlParser() {}
#endif

// System errors that a user can act on. libwim reports them only as the text of strerror().
const char* CauseIn(const std::string& details) {
  constexpr int kNumbers[] = {
#ifndef _WIN32
      EDQUOT,   ESTALE, EHOSTDOWN,
#endif
      ENOSPC,   EFBIG,  ENOENT,    EACCES, EPERM,  EROFS,   EIO,   ENXIO,       ENODEV,
      ENOTCONN, EMFILE, ENFILE,    ENOMEM, EISDIR, ENOTDIR, ELOOP, ENAMETOOLONG};
  for (const int number : kNumbers) {
    if (details.find(std::generic_category().message(number)) != std::string::npos) return SystemErrorName(number);
  }
  return "";
}

std::mutex start_mutex;
bool started = false;
int library_flags = 0;
// A WIM was opened, with which libwim may be started later.
bool fixed = false;

}  // namespace

void StartLibrary() {
  std::lock_guard<std::mutex> lock(start_mutex);
  if (started) return;
  if (std::FILE* sink = OpenErrorSink()) {
    Libwim().set_error_file(sink);
    Libwim().set_print_errors(true);
  }
  const int code = Libwim().global_init(library_flags);
  if (code != 0) internal::ThrowLibraryError("start libwim", code);
  SilenceXmlParser();
  started = true;
}

void SetLibraryFlags(int flags) {
  std::lock_guard<std::mutex> lock(start_mutex);
  if ((started || fixed) && flags != library_flags) {
    throw Error("INVALID_ARGUMENT", "libwim can be set up only before the first WIM of a process");
  }
  library_flags = flags;
}

void FixLibraryFlags() {
  std::lock_guard<std::mutex> lock(start_mutex);
  fixed = true;
}

bool IgnoresCase() {
  std::lock_guard<std::mutex> lock(start_mutex);
#ifdef _WIN32
  return !(library_flags & WIMLIB_INIT_FLAG_DEFAULT_CASE_SENSITIVE);
#else
  return (library_flags & WIMLIB_INIT_FLAG_DEFAULT_CASE_INSENSITIVE) != 0;
#endif
}

// Long because it is a table: one line for each of libwim's codes. The compiler says if one is missing.
// NOLINTNEXTLINE(readability-function-size)
const char* LibraryErrorName(int code) {
  switch (static_cast<wimlib_error_code>(code)) {
    case WIMLIB_ERR_SUCCESS: return "WIMLIB_ERR_SUCCESS";
    case WIMLIB_ERR_ALREADY_LOCKED: return "WIMLIB_ERR_ALREADY_LOCKED";
    case WIMLIB_ERR_DECOMPRESSION: return "WIMLIB_ERR_DECOMPRESSION";
    case WIMLIB_ERR_FUSE: return "WIMLIB_ERR_FUSE";
    case WIMLIB_ERR_GLOB_HAD_NO_MATCHES: return "WIMLIB_ERR_GLOB_HAD_NO_MATCHES";
    case WIMLIB_ERR_IMAGE_COUNT: return "WIMLIB_ERR_IMAGE_COUNT";
    case WIMLIB_ERR_IMAGE_NAME_COLLISION: return "WIMLIB_ERR_IMAGE_NAME_COLLISION";
    case WIMLIB_ERR_INSUFFICIENT_PRIVILEGES: return "WIMLIB_ERR_INSUFFICIENT_PRIVILEGES";
    case WIMLIB_ERR_INTEGRITY: return "WIMLIB_ERR_INTEGRITY";
    case WIMLIB_ERR_INVALID_CAPTURE_CONFIG: return "WIMLIB_ERR_INVALID_CAPTURE_CONFIG";
    case WIMLIB_ERR_INVALID_CHUNK_SIZE: return "WIMLIB_ERR_INVALID_CHUNK_SIZE";
    case WIMLIB_ERR_INVALID_COMPRESSION_TYPE: return "WIMLIB_ERR_INVALID_COMPRESSION_TYPE";
    case WIMLIB_ERR_INVALID_HEADER: return "WIMLIB_ERR_INVALID_HEADER";
    case WIMLIB_ERR_INVALID_IMAGE: return "WIMLIB_ERR_INVALID_IMAGE";
    case WIMLIB_ERR_INVALID_INTEGRITY_TABLE: return "WIMLIB_ERR_INVALID_INTEGRITY_TABLE";
    case WIMLIB_ERR_INVALID_LOOKUP_TABLE_ENTRY: return "WIMLIB_ERR_INVALID_LOOKUP_TABLE_ENTRY";
    case WIMLIB_ERR_INVALID_METADATA_RESOURCE: return "WIMLIB_ERR_INVALID_METADATA_RESOURCE";
    case WIMLIB_ERR_INVALID_OVERLAY: return "WIMLIB_ERR_INVALID_OVERLAY";
    case WIMLIB_ERR_INVALID_PARAM: return "WIMLIB_ERR_INVALID_PARAM";
    case WIMLIB_ERR_INVALID_PART_NUMBER: return "WIMLIB_ERR_INVALID_PART_NUMBER";
    case WIMLIB_ERR_INVALID_PIPABLE_WIM: return "WIMLIB_ERR_INVALID_PIPABLE_WIM";
    case WIMLIB_ERR_INVALID_REPARSE_DATA: return "WIMLIB_ERR_INVALID_REPARSE_DATA";
    case WIMLIB_ERR_INVALID_RESOURCE_HASH: return "WIMLIB_ERR_INVALID_RESOURCE_HASH";
    case WIMLIB_ERR_INVALID_UTF16_STRING: return "WIMLIB_ERR_INVALID_UTF16_STRING";
    case WIMLIB_ERR_INVALID_UTF8_STRING: return "WIMLIB_ERR_INVALID_UTF8_STRING";
    case WIMLIB_ERR_IS_DIRECTORY: return "WIMLIB_ERR_IS_DIRECTORY";
    case WIMLIB_ERR_IS_SPLIT_WIM: return "WIMLIB_ERR_IS_SPLIT_WIM";
    case WIMLIB_ERR_LINK: return "WIMLIB_ERR_LINK";
    case WIMLIB_ERR_METADATA_NOT_FOUND: return "WIMLIB_ERR_METADATA_NOT_FOUND";
    case WIMLIB_ERR_MKDIR: return "WIMLIB_ERR_MKDIR";
    case WIMLIB_ERR_MQUEUE: return "WIMLIB_ERR_MQUEUE";
    case WIMLIB_ERR_NOMEM: return "WIMLIB_ERR_NOMEM";
    case WIMLIB_ERR_NOTDIR: return "WIMLIB_ERR_NOTDIR";
    case WIMLIB_ERR_NOTEMPTY: return "WIMLIB_ERR_NOTEMPTY";
    case WIMLIB_ERR_NOT_A_REGULAR_FILE: return "WIMLIB_ERR_NOT_A_REGULAR_FILE";
    case WIMLIB_ERR_NOT_A_WIM_FILE: return "WIMLIB_ERR_NOT_A_WIM_FILE";
    case WIMLIB_ERR_NOT_PIPABLE: return "WIMLIB_ERR_NOT_PIPABLE";
    case WIMLIB_ERR_NO_FILENAME: return "WIMLIB_ERR_NO_FILENAME";
    case WIMLIB_ERR_NTFS_3G: return "WIMLIB_ERR_NTFS_3G";
    case WIMLIB_ERR_OPEN: return "WIMLIB_ERR_OPEN";
    case WIMLIB_ERR_OPENDIR: return "WIMLIB_ERR_OPENDIR";
    case WIMLIB_ERR_PATH_DOES_NOT_EXIST: return "WIMLIB_ERR_PATH_DOES_NOT_EXIST";
    case WIMLIB_ERR_READ: return "WIMLIB_ERR_READ";
    case WIMLIB_ERR_READLINK: return "WIMLIB_ERR_READLINK";
    case WIMLIB_ERR_RENAME: return "WIMLIB_ERR_RENAME";
    case WIMLIB_ERR_REPARSE_POINT_FIXUP_FAILED: return "WIMLIB_ERR_REPARSE_POINT_FIXUP_FAILED";
    case WIMLIB_ERR_RESOURCE_NOT_FOUND: return "WIMLIB_ERR_RESOURCE_NOT_FOUND";
    case WIMLIB_ERR_RESOURCE_ORDER: return "WIMLIB_ERR_RESOURCE_ORDER";
    case WIMLIB_ERR_SET_ATTRIBUTES: return "WIMLIB_ERR_SET_ATTRIBUTES";
    case WIMLIB_ERR_SET_REPARSE_DATA: return "WIMLIB_ERR_SET_REPARSE_DATA";
    case WIMLIB_ERR_SET_SECURITY: return "WIMLIB_ERR_SET_SECURITY";
    case WIMLIB_ERR_SET_SHORT_NAME: return "WIMLIB_ERR_SET_SHORT_NAME";
    case WIMLIB_ERR_SET_TIMESTAMPS: return "WIMLIB_ERR_SET_TIMESTAMPS";
    case WIMLIB_ERR_SPLIT_INVALID: return "WIMLIB_ERR_SPLIT_INVALID";
    case WIMLIB_ERR_STAT: return "WIMLIB_ERR_STAT";
    case WIMLIB_ERR_UNEXPECTED_END_OF_FILE: return "WIMLIB_ERR_UNEXPECTED_END_OF_FILE";
    case WIMLIB_ERR_UNICODE_STRING_NOT_REPRESENTABLE: return "WIMLIB_ERR_UNICODE_STRING_NOT_REPRESENTABLE";
    case WIMLIB_ERR_UNKNOWN_VERSION: return "WIMLIB_ERR_UNKNOWN_VERSION";
    case WIMLIB_ERR_UNSUPPORTED: return "WIMLIB_ERR_UNSUPPORTED";
    case WIMLIB_ERR_UNSUPPORTED_FILE: return "WIMLIB_ERR_UNSUPPORTED_FILE";
    case WIMLIB_ERR_WIM_IS_READONLY: return "WIMLIB_ERR_WIM_IS_READONLY";
    case WIMLIB_ERR_WRITE: return "WIMLIB_ERR_WRITE";
    case WIMLIB_ERR_XML: return "WIMLIB_ERR_XML";
    case WIMLIB_ERR_WIM_IS_ENCRYPTED: return "WIMLIB_ERR_WIM_IS_ENCRYPTED";
    case WIMLIB_ERR_WIMBOOT: return "WIMLIB_ERR_WIMBOOT";
    case WIMLIB_ERR_ABORTED_BY_PROGRESS: return "WIMLIB_ERR_ABORTED_BY_PROGRESS";
    case WIMLIB_ERR_UNKNOWN_PROGRESS_STATUS: return "WIMLIB_ERR_UNKNOWN_PROGRESS_STATUS";
    case WIMLIB_ERR_MKNOD: return "WIMLIB_ERR_MKNOD";
    case WIMLIB_ERR_MOUNTED_IMAGE_IS_BUSY: return "WIMLIB_ERR_MOUNTED_IMAGE_IS_BUSY";
    case WIMLIB_ERR_NOT_A_MOUNTPOINT: return "WIMLIB_ERR_NOT_A_MOUNTPOINT";
    case WIMLIB_ERR_NOT_PERMITTED_TO_UNMOUNT: return "WIMLIB_ERR_NOT_PERMITTED_TO_UNMOUNT";
    case WIMLIB_ERR_FVE_LOCKED_VOLUME: return "WIMLIB_ERR_FVE_LOCKED_VOLUME";
    case WIMLIB_ERR_UNABLE_TO_READ_CAPTURE_CONFIG: return "WIMLIB_ERR_UNABLE_TO_READ_CAPTURE_CONFIG";
    case WIMLIB_ERR_WIM_IS_INCOMPLETE: return "WIMLIB_ERR_WIM_IS_INCOMPLETE";
    case WIMLIB_ERR_COMPACTION_NOT_POSSIBLE: return "WIMLIB_ERR_COMPACTION_NOT_POSSIBLE";
    case WIMLIB_ERR_IMAGE_HAS_MULTIPLE_REFERENCES: return "WIMLIB_ERR_IMAGE_HAS_MULTIPLE_REFERENCES";
    case WIMLIB_ERR_DUPLICATE_EXPORTED_IMAGE: return "WIMLIB_ERR_DUPLICATE_EXPORTED_IMAGE";
    case WIMLIB_ERR_CONCURRENT_MODIFICATION_DETECTED: return "WIMLIB_ERR_CONCURRENT_MODIFICATION_DETECTED";
    case WIMLIB_ERR_SNAPSHOT_FAILURE: return "WIMLIB_ERR_SNAPSHOT_FAILURE";
    case WIMLIB_ERR_INVALID_XATTR: return "WIMLIB_ERR_INVALID_XATTR";
    case WIMLIB_ERR_SET_XATTR: return "WIMLIB_ERR_SET_XATTR";
  }
  return "WIMLIB_ERR_UNKNOWN";
}

std::string LibraryErrorText(int code) {
  return FromLibrary(Libwim().get_error_string(static_cast<wimlib_error_code>(code)));
}

// Lines as one: "[ERROR] a\n[WARNING] b\n" is "a; b".
std::string LibraryErrorDetails() {
  std::string text;
  size_t at = 0;
  while (at < error_text.size()) {
    size_t end = error_text.find('\n', at);
    if (end == std::string::npos) end = error_text.size();
    std::string line = error_text.substr(at, end - at);
    at = end + 1;
    const size_t from = line.find_first_not_of(" \t\r");
    if (from == std::string::npos) continue;
    line.erase(0, from);
    for (const char* prefix : {"[ERROR] ", "[WARNING] "}) {
      if (line.rfind(prefix, 0) == 0) line.erase(0, std::char_traits<char>::length(prefix));
    }
    if (!text.empty()) text += "; ";
    text += line;
  }
  return text;
}

namespace internal {

void BeginErrorText() { error_text.clear(); }

void ThrowLibraryError(const std::string& doing, int code) {
  const std::string details = LibraryErrorDetails();
  throw Error(LibraryErrorName(code), doing + ": " + LibraryErrorText(code), details).From(CauseIn(details));
}

}  // namespace internal

}  // namespace stowage::wim
