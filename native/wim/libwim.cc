#include "libwim.h"

#ifdef _WIN32
#include <windows.h>

#include "../base/windows_path.h"
#else
#include <dlfcn.h>
#include <unistd.h>
#endif

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "../base/error.h"

namespace stowage::wim {

namespace {

#ifdef _WIN32
constexpr char kName[] = "libwim-15.dll";
#elif defined(__APPLE__)
constexpr char kName[] = "libwim.15.dylib";
#else
constexpr char kName[] = "libwim.so.15";
#endif

// Of libwim's version number, as wimlib_get_version() gives it: 1.13.0, whose functions are used.
constexpr uint32_t kOldest = 1u << 20 | 13u << 10;

#ifdef _WIN32

using Library = HMODULE;

std::string SystemText() {
  const DWORD code = GetLastError();
  char text[512];
  const DWORD size = FormatMessageA(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, nullptr, code, 0, text,
                                    sizeof text, nullptr);
  std::string found(text, size);
  while (!found.empty() && (found.back() == '\n' || found.back() == '\r' || found.back() == '.')) found.pop_back();
  return found.empty() ? "error " + std::to_string(code) : found;
}

// Also if something that it needs is missing: which, the system does not say.
bool IsMissing(const std::string&) { return GetLastError() == ERROR_MOD_NOT_FOUND; }

Library Load(const std::string& path) {
  // What it needs may stand beside it. A bare name is not looked for in the current directory, where anyone may have
  // put it
  const bool bare = path.find_first_of("/\\") == std::string::npos;
  const DWORD flags = bare ? LOAD_LIBRARY_SEARCH_DEFAULT_DIRS : LOAD_WITH_ALTERED_SEARCH_PATH;
  return LoadLibraryExW(Wide(path).c_str(), nullptr, flags);
}

void* Symbol(Library library, const char* name) { return reinterpret_cast<void*>(GetProcAddress(library, name)); }

void Unload(Library library) { FreeLibrary(library); }

// Of the addon, with a separator at its end.
std::string OwnDirectory() {
  HMODULE own = nullptr;
  wchar_t path[32768];
  const DWORD flags = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
  if (!GetModuleHandleExW(flags, reinterpret_cast<const wchar_t*>(&Libwim), &own)) return "";
  const DWORD size = GetModuleFileNameW(own, path, 32768);
  const int bytes = WideCharToMultiByte(CP_UTF8, 0, path, static_cast<int>(size), nullptr, 0, nullptr, nullptr);
  std::string text(static_cast<size_t>(bytes), '\0');
  WideCharToMultiByte(CP_UTF8, 0, path, static_cast<int>(size), text.data(), bytes, nullptr, nullptr);
  return text.substr(0, text.find_last_of("/\\") + 1);
}

#else

using Library = void*;

thread_local std::string load_error;

std::string SystemText() { return load_error; }

// A bare name is looked for in the system's places. The loader has no error codes; these are its words, with that name,
// for what is in none of them. Other words, or another name, are of a file that is there and needs what is not.
bool IsMissing(const std::string& path) {
  if (path.find('/') != std::string::npos) return access(path.c_str(), F_OK) != 0;
  const std::string name = load_error.substr(0, load_error.find("o such file"));
  return name.size() < load_error.size() && name.find(path) != std::string::npos;
}

Library Load(const std::string& path) {
  dlerror();  // NOLINT(concurrency-mt-unsafe): it is per thread
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  const char* const error = library == nullptr ? dlerror() : nullptr;  // NOLINT(concurrency-mt-unsafe)
  load_error = error == nullptr ? "" : error;
  return library;
}

void* Symbol(Library library, const char* name) { return dlsym(library, name); }

void Unload(Library library) { dlclose(library); }

std::string OwnDirectory() {
  Dl_info own;
  if (dladdr(reinterpret_cast<const void*>(&Libwim), &own) == 0 || own.dli_fname == nullptr) return "";
  const std::string path = own.dli_fname;
  return path.substr(0, path.find_last_of('/') + 1);
}

#endif

[[noreturn]] void Refuse(const std::string& why) { throw Error("LIBWIM_MISSING", why); }

// Null if there is no such file.
Library LoadFrom(const std::string& path) {
  const Library library = Load(path);
  if (library == nullptr && !IsMissing(path)) Refuse("libwim cannot be loaded: " + SystemText());
  return library;
}

std::unique_ptr<LibwimFunctions> Bind(Library library, const std::string& path) {
  auto functions = std::make_unique<LibwimFunctions>();
  const char* lacks = nullptr;
#define STOWAGE_BIND(name)                                                                         \
  functions->name = reinterpret_cast<decltype(functions->name)>(Symbol(library, "wimlib_" #name)); \
  if (functions->name == nullptr && lacks == nullptr) lacks = "wimlib_" #name;
  STOWAGE_LIBWIM_FUNCTIONS(STOWAGE_BIND)
#undef STOWAGE_BIND
  const uint32_t version = functions->get_version == nullptr ? 0 : functions->get_version();
  if (lacks == nullptr && version >= kOldest) return functions;
  Unload(library);
  if (version > 0 && version < kOldest)
    Refuse(path + " is libwim " + VersionText(version) + ", which is too old: 1.13 or newer is needed");
  Refuse(path + " is no libwim that can be used" + (lacks == nullptr ? "" : std::string(": it lacks ") + lacks));
}

std::unique_ptr<LibwimFunctions> Find() {
  const char* const named = std::getenv("STOWAGE_LIBWIM");  // NOLINT(concurrency-mt-unsafe): Node.js alone sets it
  if (named != nullptr && std::strcmp(named, "none") == 0) Refuse("libwim is not used, because STOWAGE_LIBWIM is none");
  if (named != nullptr && *named != '\0') {
    if (const Library library = LoadFrom(named)) return Bind(library, named);
    Refuse(std::string("STOWAGE_LIBWIM names ") + named + ", which does not exist");
  }
  const std::string own = OwnDirectory();
  std::vector<std::string> places;
  if (!own.empty()) places.push_back(own + kName);
#ifdef __APPLE__
  // Homebrew's directories, of which the system looks into neither
  for (const char* const directory : {"/opt/homebrew/lib/", "/usr/local/lib/"})
    places.push_back(std::string(directory) + kName);
#endif
  places.emplace_back(kName);
  for (const std::string& path : places) {
    if (const Library library = LoadFrom(path)) return Bind(library, path);
  }
  Refuse("libwim is not installed: there is no " + own + kName + ", and the system has no " + kName);
}

}  // namespace

std::string VersionText(uint32_t version) {
  return std::to_string(version >> 20) + "." + std::to_string(version >> 10 & 1023) + "." +
         std::to_string(version & 1023);
}

const LibwimFunctions& Libwim() {
  // Never destroyed: exit() may run while threads still use it
  static std::mutex& mutex = *new std::mutex;
  static const LibwimFunctions* found = nullptr;
  std::lock_guard<std::mutex> lock(mutex);
  if (found == nullptr) found = Find().release();
  return *found;
}

bool HasLibwim() {
  try {
    (void)Libwim();
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace stowage::wim
