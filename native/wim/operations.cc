#include "operations.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <map>
#include <thread>

#include "../base/error.h"
#include "entries.h"
#include "extractor.h"
#include "integrity_check.h"
#include "library.h"
#include "listing.h"
#include "mend.h"
#include "missing.h"
#include "path_list.h"
#include "pipe_guard.h"
#include "text.h"
#include "verifier.h"
#include "wim_struct.h"

#ifndef _WIN32
#include <glob.h>
#endif

namespace stowage::wim {

namespace {

using WimPointer = std::shared_ptr<const OpenWim>;

class OptionalLibraryText {
 public:
  explicit OptionalLibraryText(const std::optional<std::string>& text)
      : given_(text.has_value()), text_(ToLibrary(text.value_or(""))) {}
  // Null when there is none.
  const wimlib_tchar* get() const { return given_ ? text_.c_str() : nullptr; }
  // For members that libwim declares without const, and does not change.
  wimlib_tchar* get() { return given_ ? text_.data() : nullptr; }

 private:
  bool given_;
  LibraryText text_;
};

// Locks WIMs for one operation, always in one order, and has libwim report to `progress` meanwhile.
class Use {
 public:
  Use(const std::vector<WimPointer>& wims, Progress* progress) {
    for (const WimPointer& wim : wims) structs_.push_back(wim->library);
    std::sort(structs_.begin(), structs_.end());
    structs_.erase(std::unique(structs_.begin(), structs_.end()), structs_.end());
    for (const auto& wim : structs_) {
      wim->mutex.lock();
      wim->ReportTo(progress);
    }
  }
  ~Use() {
    for (const auto& wim : structs_) {
      wim->ReportTo(nullptr);
      wim->mutex.unlock();
    }
  }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

 private:
  std::vector<std::shared_ptr<WimStruct>> structs_;
};

// libwim has one compression level for the whole process: calls that write at the same level may run together, others
// wait for each other.
class CompressionLevel {
 public:
  CompressionLevel(unsigned level, const Observer& observer) {
    std::unique_lock<std::mutex> lock(mutex_);
    while (users_ > 0 && level_ != level) {
      if (observer.cancelled()) throw Error("ABORTED", "interrupted before the end");
      changed_.wait_for(lock, std::chrono::milliseconds(50));
    }
    if (users_ == 0) {
      CheckLibrary("set compression level " + std::to_string(level),
                   [&] { return Libwim().set_default_compression_level(-1, level); });
      level_ = level;
    }
    users_ += 1;
  }
  ~CompressionLevel() {
    std::lock_guard<std::mutex> lock(mutex_);
    users_ -= 1;
    changed_.notify_all();
  }
  CompressionLevel(const CompressionLevel&) = delete;
  CompressionLevel& operator=(const CompressionLevel&) = delete;

 private:
  static inline std::mutex mutex_;
  static inline std::condition_variable changed_;
  static inline unsigned level_ = 0;
  static inline size_t users_ = 0;
};

// Throws WIM_CORRUPT if a file differs from its integrity table.
void RefuseDamage(const std::vector<std::string>& paths, Observer& observer) {
  WorkerPool pool(std::max(1u, std::thread::hardware_concurrency()));
  for (const std::string& path : paths)
    CheckIntegrity(path, pool, observer,
                   [](const std::string& message, uint64_t) { throw Error("WIM_CORRUPT", message); });
}

// `paths`: all parts, in any order.
WimPointer OpenFiles(const std::vector<std::string>& paths, int flags, Observer& observer) {
  if (paths.empty()) throw Error("INVALID_ARGUMENT", "no file is given");
  FixLibraryFlags();
  auto wim = std::make_shared<OpenWim>();
  wim->open_flags = flags;
  wim->archive = Archive::Open(paths);
  if ((flags & WIMLIB_OPEN_FLAG_ERROR_IF_SPLIT) && wim->archive->header().total_parts > 1)
    throw Error("WIMLIB_ERR_IS_SPLIT_WIM", paths.front() + " is a part of a split WIM");
  if (flags & WIMLIB_OPEN_FLAG_CHECK_INTEGRITY) RefuseDamage(wim->archive->paths(), observer);
  wim->library = std::make_shared<WimStruct>(wim->archive, flags & ~WIMLIB_OPEN_FLAG_CHECK_INTEGRITY);
  // What cannot be changed is refused now
  if (flags & WIMLIB_OPEN_FLAG_WRITE_ACCESS) (void)wim->library->Handle();
  return wim;
}

enum class NoMatch { kKeepsPattern, kFails };

// The files that match a shell pattern.
std::vector<std::string> ExpandGlob(const std::string& pattern, NoMatch no_match) {
#ifdef _WIN32
  (void)no_match;
  return {pattern};  // libwim does not expand patterns on Windows either
#else
  glob_t found = {};
  // A missing directory matches nothing; one that cannot be read might hold matching files.
  const auto stop_at = [](const char*, int error) { return static_cast<int>(error != ENOENT && error != ENOTDIR); };
  // NOLINTNEXTLINE(concurrency-mt-unsafe): unsafe only for "~", which needs GLOB_TILDE
  const int code = glob(pattern.c_str(), GLOB_NOSORT, stop_at, &found);
  std::vector<std::string> paths(found.gl_pathv, found.gl_pathv + (code == 0 ? found.gl_pathc : 0));
  globfree(&found);
  if (code == GLOB_NOSPACE) throw Error("ENOMEM", "not enough memory");
  if (code != 0 && code != GLOB_NOMATCH) throw Error("EIO", "the files that match " + pattern + " cannot be listed");
  if (paths.empty() && no_match == NoMatch::kFails)
    throw Error("WIMLIB_ERR_GLOB_HAD_NO_MATCHES", "no file matches " + pattern);
  if (paths.empty()) paths.push_back(pattern);
  return paths;
#endif
}

// One call on one WIM, with what most operations need.
struct Call {
  const Arguments& arguments;
  Observer& observer;
  Progress& progress;

  WIMStruct* Handle(const char* name = "wim") const { return arguments.Wim(name)->library->Handle(); }
  int Image() const { return arguments.Int("image"); }
  int Flags() const { return arguments.Int("flags"); }
  unsigned Threads() const { return static_cast<unsigned>(arguments.Size("threads")); }
  // Begins the message of an error: "open x.wim" says more than "open".
  std::string About(const char* doing) const {
    const WimPointer wim = arguments.Wim("wim");
    return wim->archive ? doing + (" " + wim->archive->path()) : std::string(doing) + " a new WIM";
  }
};

Value Open(const Call& call) { return OpenFiles(call.arguments.Texts("paths"), call.Flags(), call.observer); }

Value Create(const Call& call) {
  WIMStruct* created = nullptr;
  const auto compression = static_cast<wimlib_compression_type>(call.arguments.Int("compression"));
  CheckLibrary("create a WIM", [&] { return Libwim().create_new_wim(compression, &created); });
  auto wim = std::make_shared<OpenWim>();
  wim->library = std::make_shared<WimStruct>(ArchiveHandle(created));
  return WimPointer(wim);
}

Value Reference(const Call& call) {
  const WimPointer wim = call.arguments.Wim("wim");
  const int flags = call.Flags();
  std::vector<std::string> paths;
  const NoMatch no_match = flags & WIMLIB_REF_FLAG_GLOB_ERR_ON_NOMATCH ? NoMatch::kFails : NoMatch::kKeepsPattern;
  for (const std::string& pattern : call.arguments.Texts("paths")) {
    if (!(flags & WIMLIB_REF_FLAG_GLOB_ENABLE)) {
      paths.push_back(pattern);
      continue;
    }
    for (std::string& path : ExpandGlob(pattern, no_match)) {
      paths.push_back(std::move(path));
    }
  }
  auto referencing = std::make_shared<OpenWim>(*wim);
  if (wim->archive) {
    std::vector<std::string> references = wim->archive->references();
    references.insert(references.end(), paths.begin(), paths.end());
    referencing->archive = Archive::Open(wim->archive->paths(), references);
  }
  if (call.arguments.Int("openFlags") & WIMLIB_OPEN_FLAG_CHECK_INTEGRITY) RefuseDamage(paths, call.observer);
  wim->library->Reference(paths, call.About("open references for"));
  return WimPointer(referencing);
}

Value ReferenceWims(const Call& call) {
  std::vector<WIMStruct*> handles;
  for (const WimPointer& other : call.arguments.Wims("wims")) handles.push_back(other->library->Handle());
  CheckLibrary(call.About("reference WIMs for"), [&] {
    return Libwim().reference_resources(call.Handle(), handles.data(), static_cast<unsigned>(handles.size()), 0);
  });
  return {};
}

Value ReferenceTemplate(const Call& call) {
  CheckLibrary(call.About("reference a template image for"), [&] {
    return Libwim().reference_template_image(call.Handle(), call.Image(), call.Handle("template"),
                                             call.arguments.Int("templateImage"), 0);
  });
  return {};
}

Value Property(const Call& call) {
  const wimlib_tchar* value =
      Libwim().get_image_property(call.Handle(), call.Image(), ToLibrary(call.arguments.Text("name")).c_str());
  return value == nullptr ? Value() : Value(FromLibrary(value));
}

Value SetProperty(const Call& call) {
  const std::string name = call.arguments.Text("name");
  const OptionalLibraryText value(call.arguments.OptionalText("value"));
  CheckLibrary("set " + name + " of image " + std::to_string(call.Image()), [&] {
    return Libwim().set_image_property(call.Handle(), call.Image(), ToLibrary(name).c_str(), value.get());
  });
  return {};
}

template <int (*LibwimFunctions::*set)(WIMStruct*, int, const wimlib_tchar*)>
Value SetText(const Call& call) {
  const OptionalLibraryText value(call.arguments.OptionalText("value"));
  CheckLibrary("change image " + std::to_string(call.Image()),
               [&] { return (Libwim().*set)(call.Handle(), call.Image(), value.get()); });
  return {};
}

Value SetInfo(const Call& call) {
  wimlib_wim_info info = {};
  const int which = call.Flags();
  if (which & WIMLIB_CHANGE_GUID) {
    const Bytes& guid = call.arguments.Data("guid");
    if (guid.size() != sizeof info.guid) throw Error("INVALID_ARGUMENT", "a GUID has 16 bytes");
    std::copy(guid.begin(), guid.end(), info.guid);
  }
  info.boot_index = static_cast<uint32_t>(call.arguments.Size("bootIndex"));
  info.is_marked_readonly = call.arguments.Int("readonly") != 0;
  info.has_rpfix = call.arguments.Int("rpfix") != 0;
  CheckLibrary(call.About("change"), [&] { return Libwim().set_wim_info(call.Handle(), &info, which); });
  return {};
}

Value SetOutput(const Call& call) {
  const Arguments& arguments = call.arguments;
  WIMStruct* wim = call.Handle();
  const auto type = [&](const char* name) { return static_cast<wimlib_compression_type>(arguments.Int(name)); };
  const auto size = [&](const char* name) { return static_cast<uint32_t>(arguments.Size(name)); };
  const auto set = [&](const char* name, auto call_library) {
    if (arguments.Has(name)) CheckLibrary(std::string("set ") + name, call_library);
  };
  set("compression", [&] { return Libwim().set_output_compression_type(wim, type("compression")); });
  set("chunkSize", [&] { return Libwim().set_output_chunk_size(wim, size("chunkSize")); });
  set("solidCompression", [&] { return Libwim().set_output_pack_compression_type(wim, type("solidCompression")); });
  set("solidChunkSize", [&] { return Libwim().set_output_pack_chunk_size(wim, size("solidChunkSize")); });
  return {};
}

Value AddEmptyImage(const Call& call) {
  int index = 0;
  const OptionalLibraryText name(call.arguments.OptionalText("name"));
  CheckLibrary("add an image", [&] { return Libwim().add_empty_image(call.Handle(), name.get(), &index); });
  return index;
}

// Adds the flag with which libwim reports each file, because a scan can be cancelled only in a report.
int Cancellable(int flags, Progress* progress) {
  if (!(flags & (WIMLIB_ADD_FLAG_VERBOSE | WIMLIB_ADD_FLAG_EXCLUDE_VERBOSE))) progress->HideNames();
  return flags | WIMLIB_ADD_FLAG_VERBOSE;
}

// { sources: { source, target }[], name?, config?, flags }
Value AddImage(const Call& call) {
  std::vector<OptionalLibraryText> texts;
  std::string about = "capture";
  for (const Arguments& source : call.arguments.Objects("sources")) {
    texts.emplace_back(source.Text("source"));
    texts.emplace_back(source.Text("target"));
    if (about.size() < 200) about += " " + source.Text("source");
  }
  std::vector<wimlib_capture_source> sources;
  for (size_t n = 0; n < texts.size(); n += 2) sources.push_back({texts[n].get(), texts[n + 1].get(), 0});
  const OptionalLibraryText name(call.arguments.OptionalText("name"));
  const OptionalLibraryText config(call.arguments.OptionalText("config"));
  const int flags = Cancellable(call.Flags(), &call.progress);
  CheckLibrary(about, [&] {
    return Libwim().add_image_multisource(call.Handle(), sources.data(), sources.size(), name.get(), config.get(),
                                          flags);
  });
  wimlib_wim_info info = {};
  CheckLibrary(about, [&] { return Libwim().get_wim_info(call.Handle(), &info); });
  return info.image_count;
}

// { commands: { type, source?, target?, path?, config?, flags }[], flags }
Value Update(const Call& call) {
  const std::vector<Arguments> given = call.arguments.Objects("commands");
  std::vector<OptionalLibraryText> texts;
  texts.reserve(given.size() * 3);  // the commands point into it
  std::vector<wimlib_update_command> commands;
  const auto keep = [&](const Arguments& command, const char* name) {
    texts.emplace_back(command.OptionalText(name));
    return texts.back().get();
  };
  for (const Arguments& command : given) {
    const std::string type = command.Text("type");
    wimlib_update_command made = {};
    if (type == "add") {
      made.op = WIMLIB_UPDATE_OP_ADD;
      made.add = {keep(command, "source"), keep(command, "target"), keep(command, "config"), command.Int("flags")};
    } else if (type == "delete") {
      made.op = WIMLIB_UPDATE_OP_DELETE;
      made.delete_ = {keep(command, "path"), command.Int("flags")};
    } else {
      made.op = WIMLIB_UPDATE_OP_RENAME;
      made.rename = {keep(command, "source"), keep(command, "target"), 0};
    }
    commands.push_back(made);
  }
  const auto verbose = [](const wimlib_update_command& command) {
    constexpr int kVerbose = WIMLIB_ADD_FLAG_VERBOSE | WIMLIB_ADD_FLAG_EXCLUDE_VERBOSE;
    return command.op == WIMLIB_UPDATE_OP_ADD && (command.add.add_flags & kVerbose);
  };
  if (std::none_of(commands.begin(), commands.end(), verbose)) {
    for (wimlib_update_command& command : commands) {
      if (command.op != WIMLIB_UPDATE_OP_ADD) continue;
      command.add.add_flags = Cancellable(command.add.add_flags, &call.progress);
    }
  }
  CheckLibrary(call.About("update"), [&] {
    return Libwim().update_image(call.Handle(), call.Image(), commands.data(), commands.size(), call.Flags());
  });
  return {};
}

Value DeletePath(const Call& call) {
  const std::string path = call.arguments.Text("path");
  CheckLibrary("delete " + path, [&] {
    return Libwim().delete_path(call.Handle(), call.Image(), ToLibrary(path).c_str(), call.Flags());
  });
  return {};
}

Value RenamePath(const Call& call) {
  const std::string source = call.arguments.Text("source");
  const std::string target = call.arguments.Text("target");
  CheckLibrary("rename " + source + " to " + target, [&] {
    return Libwim().rename_path(call.Handle(), call.Image(), ToLibrary(source).c_str(), ToLibrary(target).c_str());
  });
  return {};
}

Value DeleteImage(const Call& call) {
  CheckLibrary(call.About("delete an image of"), [&] { return Libwim().delete_image(call.Handle(), call.Image()); });
  return {};
}

Value Export(const Call& call) {
  const OptionalLibraryText name(call.arguments.OptionalText("name"));
  const OptionalLibraryText description(call.arguments.OptionalText("description"));
  CheckLibrary(call.About("export from"), [&] {
    return Libwim().export_image(call.Handle(), call.Image(), call.Handle("destination"), name.get(), description.get(),
                                 call.Flags());
  });
  return {};
}

Value WriteToFd(const Call& call) {
  const CompressionLevel level(static_cast<unsigned>(call.arguments.Size("level")), call.observer);
  CheckLibrary(call.About("write"), [&] {
    return Libwim().write_to_fd(call.Handle(), call.arguments.Int("fd"), call.Image(), call.Flags(), call.Threads());
  });
  return {};
}

MendOptions MendingOf(const Call& call) {
  const auto level = static_cast<unsigned>(call.arguments.Has("level") ? call.arguments.Size("level") : 0);
  const unsigned threads = call.arguments.Has("threads") ? call.Threads() : 0;
  return {level, threads, (call.Flags() & WIMLIB_WRITE_FLAG_FSYNC) != 0};
}

Value Write(const Call& call) {
  const std::string path = call.arguments.Text("path");
  {
    const CompressionLevel level(static_cast<unsigned>(call.arguments.Size("level")), call.observer);
    CheckLibrary("write " + path, [&] {
      return Libwim().write(call.Handle(), ToLibrary(path).c_str(), call.Image(), call.Flags(), call.Threads());
    });
  }
  if (!call.arguments.Has("unmended")) MendNew(path, MendingOf(call), call.observer);
  return {};
}

// Whether what `write` writes with `unmended` has to pass through `sendMended`.
Value NeedsMending(const Call& call) {
  wimlib_wim_info info = {};
  CheckLibrary(call.About("write"), [&] { return Libwim().get_wim_info(call.Handle(), &info); });
  const bool pipable =
      (call.Flags() & WIMLIB_WRITE_FLAG_PIPABLE) || (info.pipable && !(call.Flags() & WIMLIB_WRITE_FLAG_NOT_PIPABLE));
  // libwim refuses it
  if (!pipable && !CanSeek(call.arguments.Int("fd"))) return false;
  return MayNeedMending(call.Handle(), call.Image());
}

// { path, fd, level, threads, flags }
Value SendMendedWim(const Call& call) {
  SendMended(call.arguments.Text("path"), call.arguments.Int("fd"), MendingOf(call), call.observer);
  return {};
}

// { path, level?, threads?, flags }
Value Mend(const Call& call) {
  MendNew(call.arguments.Text("path"), MendingOf(call), call.observer);
  return {};
}

// Afterwards the file has changed and the WIMStruct is unusable, so the result is the file, opened again.
Value Overwrite(const Call& call) {
  const WimPointer wim = call.arguments.Wim("wim");
  const std::string path = wim->archive ? wim->archive->path() : "";
  WimBefore before = wim->archive ? LookBefore(path) : WimBefore();
  before.compacted = call.Flags() & WIMLIB_WRITE_FLAG_UNSAFE_COMPACT;
  {
    const CompressionLevel level(static_cast<unsigned>(call.arguments.Size("level")), call.observer);
    CheckLibrary(call.About("write"), [&] { return Libwim().overwrite(call.Handle(), call.Flags(), call.Threads()); });
  }
  MendInPlace(path, before, MendingOf(call), call.observer);
  const int flags = wim->open_flags & ~WIMLIB_OPEN_FLAG_CHECK_INTEGRITY;
  return OpenFiles(wim->archive->paths(), flags, call.observer);
}

// Whether the images are those in the file.
bool IsUnchanged(const OpenWim& wim) { return wim.archive && !wim.library->changed; }

// Our own extractor does it where there is no libwim; where there is, with `plain`.
bool ExtractsPlain(const Call& call) {
  if (!CanExtract(call.Flags()) || !IsUnchanged(*call.arguments.Wim("wim"))) return false;
  return call.arguments.Has("plain") || !HasLibwim();
}

Extraction PlainExtraction(const Call& call) {
  const WimPointer wim = call.arguments.Wim("wim");
  Extraction extraction;
  extraction.archive = wim->archive;
  extraction.image_names = call.arguments.Texts("names");
  extraction.target = call.arguments.Text("target");
  extraction.flags = call.Flags();
  if (IgnoresCase()) extraction.sensitivity = ImageTree::Case::kInsensitive;
  return extraction;
}

Value Extract(const Call& call) {
  if (ExtractsPlain(call)) {
    ExtractImage(PlainExtraction(call), call.Image(), call.observer);
    return {};
  }
  const std::string target = call.arguments.Text("target");
  if (call.Image() == WIMLIB_ALL_IMAGES) CheckImageDirectories(call.Handle(), target);
  CheckLibrary(call.About("extract"), [&] {
    return Libwim().extract_image(call.Handle(), call.Image(), ToLibrary(target).c_str(), call.Flags());
  });
  return {};
}

Value ExtractPaths(const Call& call) {
  if (ExtractsPlain(call)) {
    ExtractImagePaths(PlainExtraction(call), call.Image(), call.arguments.Texts("paths"), call.observer);
    return {};
  }
  const LibraryTexts paths(call.arguments.Texts("paths"));
  const std::string target = call.arguments.Text("target");
  CheckLibrary(call.About("extract"), [&] {
    return Libwim().extract_paths(call.Handle(), call.Image(), ToLibrary(target).c_str(), paths.data(), paths.size(),
                                  call.Flags());
  });
  return {};
}

Value ExtractPathList(const Call& call) {
  if (ExtractsPlain(call)) {
    const std::vector<std::string> paths = ReadPathList(call.arguments.Text("list"));
    ExtractImagePaths(PlainExtraction(call), call.Image(), paths, call.observer);
    return {};
  }
  const std::string target = call.arguments.Text("target");
  const std::string list = call.arguments.Text("list");
  CheckLibrary(call.About("extract"), [&] {
    return Libwim().extract_pathlist(call.Handle(), call.Image(), ToLibrary(target).c_str(), ToLibrary(list).c_str(),
                                     call.Flags());
  });
  return {};
}

Value ExtractFromPipe(const Call& call) {
  const OptionalLibraryText image(call.arguments.OptionalText("image"));
  const std::string target = call.arguments.Text("target");
  ReadGuarded(call.arguments.Int("fd"), call.observer, [&](int fd) {
    CheckLibrary("extract from a pipe", [&] {
      return Libwim().extract_image_from_pipe_with_progress(fd, image.get(), ToLibrary(target).c_str(), call.Flags(),
                                                            Progress::Handle, &call.progress);
    });
  });
  return {};
}

Value Split(const Call& call) {
  const std::string path = call.arguments.Text("path");
  CheckLibrary("split to " + path, [&] {
    return Libwim().split(call.Handle(), ToLibrary(path).c_str(), call.arguments.Size("partSize"), call.Flags());
  });
  return {};
}

Value Join(const Call& call) {
  const LibraryTexts parts(call.arguments.Texts("paths"));
  const std::string path = call.arguments.Text("path");
  CheckLibrary("join to " + path, [&] {
    return Libwim().join_with_progress(parts.data(), static_cast<unsigned>(parts.size()), ToLibrary(path).c_str(),
                                       call.arguments.Int("openFlags"), call.Flags(), Progress::Handle, &call.progress);
  });
  MendNew(path, MendingOf(call), call.observer);
  return {};
}

// The images whose trees libwim loads in an operation: they are checked first.
enum class Loads { kNothing, kImage, kAll };

// Whether the WIM in memory differs from the one in the file afterwards.
enum class Changes { kNo, kYes };

struct Operation {
  Value (*run)(const Call&);
  Loads loads = Loads::kNothing;
  Changes changes = Changes::kNo;
};

void CheckTrees(Loads loads, const Arguments& arguments) {
  if (loads == Loads::kNothing) return;
  const auto check = [](const WimPointer& wim, int image) {
    if (wim->archive) wim->library->guard.Check(*wim->archive, image);
  };
  check(arguments.Wim("wim"), loads == Loads::kAll ? WIMLIB_ALL_IMAGES : arguments.Int("image"));
  if (arguments.Has("template")) check(arguments.Wim("template"), arguments.Int("templateImage"));
}

using OwnLister = std::optional<Value> (*)(const Archive&, const ListingScope&, OddNames, Observer&);
using LibraryLister = Value (*)(WIMStruct*, int, const std::string&, int, Observer&);

// libwim lists what was changed in memory, and images with names that it treats specially, if it is there.
template <OwnLister own, LibraryLister library>
Value ListTree(const Call& call) {
  const WimPointer wim = call.arguments.Wim("wim");
  const std::string path = call.arguments.Text("path");
  if (IsUnchanged(*wim)) {
    const uint32_t count = wim->archive->header().image_count;
    ListingScope scope = {{}, path, call.Flags()};
    for (uint32_t image = 1; image <= count; image++) {
      if (call.Image() == WIMLIB_ALL_IMAGES || static_cast<uint32_t>(call.Image()) == image)
        scope.images.push_back(image);
    }
    if (scope.images.empty() && call.Image() != WIMLIB_ALL_IMAGES)
      throw Error("WIMLIB_ERR_INVALID_IMAGE", wim->archive->path() + " has no image " + std::to_string(call.Image()));
    auto listed = own(*wim->archive, scope, OddNames::kLeft, call.observer);
    if (!listed && !HasLibwim()) listed = own(*wim->archive, scope, OddNames::kDropped, call.observer);
    if (listed) return std::move(*listed);
  }
  CheckTrees(Loads::kImage, call.arguments);
  return library(call.Handle(), call.Image(), path, call.Flags(), call.observer);
}

Value Entries(const Call& call) { return ListTree<ListImages, ListEntries>(call); }

Value EntriesAsJson(const Call& call) { return ListTree<ListImagesAsJson, ListEntriesAsJson>(call); }

Value Resources(const Call& call) {
  const WimPointer wim = call.arguments.Wim("wim");
  // libwim's order is that of wimlib-imagex
  return HasLibwim() || !IsUnchanged(*wim) ? ListResources(call.Handle()) : ListBlobs(wim->archive->blobs());
}

Value CountBlobsOfWim(const Call& call) { return CountBlobs(call.arguments, call.observer); }

Value VerifyWim(const Call& call) { return Verify(call.arguments, call.observer); }

const std::map<std::string, Operation>& Operations() {
  static const std::map<std::string, Operation> operations = {
      {"addEmptyImage", {AddEmptyImage, Loads::kNothing, Changes::kYes}},
      {"addImage", {AddImage, Loads::kNothing, Changes::kYes}},
      {"countBlobs", {CountBlobsOfWim}},
      {"create", {Create}},
      {"deleteImage", {DeleteImage, Loads::kAll, Changes::kYes}},
      {"deletePath", {DeletePath, Loads::kImage, Changes::kYes}},
      {"entries", {Entries}},
      {"entriesAsJson", {EntriesAsJson}},
      {"export", {Export, Loads::kImage, Changes::kYes}},
      {"extract", {Extract, Loads::kImage}},
      {"extractFromPipe", {ExtractFromPipe}},
      {"extractPathList", {ExtractPathList, Loads::kImage}},
      {"extractPaths", {ExtractPaths, Loads::kImage}},
      {"join", {Join}},
      {"mend", {Mend}},
      {"needsMending", {NeedsMending, Loads::kImage}},
      {"open", {Open}},
      {"overwrite", {Overwrite, Loads::kAll}},
      {"property", {Property}},
      {"reference", {Reference}},
      {"referenceTemplate", {ReferenceTemplate, Loads::kImage}},
      {"referenceWims", {ReferenceWims, Loads::kNothing, Changes::kYes}},
      {"renamePath", {RenamePath, Loads::kImage, Changes::kYes}},
      {"resources", {Resources}},
      {"sendMended", {SendMendedWim}},
      {"setDescription", {SetText<&LibwimFunctions::set_image_descripton>}},
      {"setFlags", {SetText<&LibwimFunctions::set_image_flags>}},
      {"setInfo", {SetInfo}},
      {"setName", {SetText<&LibwimFunctions::set_image_name>}},
      {"setOutput", {SetOutput}},
      {"setProperty", {SetProperty}},
      {"split", {Split}},
      {"update", {Update, Loads::kImage, Changes::kYes}},
      {"verify", {VerifyWim}},
      {"write", {Write, Loads::kImage}},
      {"writeToFd", {WriteToFd, Loads::kImage}},
  };
  return operations;
}

void GatherWims(const Value& value, std::vector<WimPointer>* wims) {
  if (const auto* wim = std::get_if<WimPointer>(&value)) {
    wims->push_back(*wim);
  } else if (const auto* list = std::get_if<List>(&value)) {
    for (const Value& element : *list) GatherWims(element, wims);
  }
}

}  // namespace

Value RunOperation(const std::string& name, const Object& values, Observer& observer) {
  const auto operation = Operations().find(name);
  if (operation == Operations().end()) throw Error("INVALID_ARGUMENT", "there is no operation " + name);
  std::vector<WimPointer> wims;
  for (const auto& [key, value] : values) GatherWims(value, &wims);
  const Arguments arguments(values);
  Progress progress(observer);
  const Use use(wims, &progress);
  try {
    CheckTrees(operation->second.loads, arguments);
    if (operation->second.changes == Changes::kYes) {
      for (const WimPointer& wim : wims) wim->library->changed = true;
    }
    Value result = operation->second.run({arguments, observer, progress});
    return result;
  } catch (const Error& error) {
    if (error.code() != "WIMLIB_ERR_ABORTED_BY_PROGRESS") throw;
    throw Error("ABORTED", "interrupted before the end");
  }
}

}  // namespace stowage::wim
