#include "mount.h"

#include <exception>
#include <string>
#include <vector>

#include "../base/error.h"
#include "containment.h"
#include "library.h"
#include "mend.h"
#include "operations.h"
#include "text.h"
#include "wim_struct.h"

#ifndef _WIN32
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#endif

namespace stowage::wim {

namespace {

// Observes nothing: the operation is ended by ending the process.
class Nobody : public Observer {
 public:
  void Report(Object) override {}
  void ReportCount(const std::string&, Object) override {}
  std::optional<Value> Ask(Object) override { return std::nullopt; }
};

#ifndef _WIN32

std::vector<int> foreign_descriptors;

// The process that serves the mount lives long and would keep open what it inherits: pipes, locks, sockets.
void CloseForeignDescriptors() {
  for (const int descriptor : foreign_descriptors) close(descriptor);
}

// All descriptors that are open before the WIM is, except the standard ones, which libfuse replaces by /dev/null.
void ListForeignDescriptors() {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread has this directory
  while (const dirent* entry = readdir(directory)) {
    const int descriptor = std::atoi(entry->d_name);
    if (descriptor > STDERR_FILENO && descriptor != dirfd(directory)) foreign_descriptors.push_back(descriptor);
  }
  closedir(directory);
}

// libfuse unmounts cleanly on these signals, but only if they have no handler, and Node.js installs some.
void ForgetSignalHandlers() {
  for (const int number : {SIGHUP, SIGINT, SIGTERM}) signal(number, SIG_DFL);
}

int ImageNumber(const Arguments& request, WIMStruct* wim) {
  const std::string name = request.Text("image");
  const int number = Libwim().resolve_image(wim, ToLibrary(name).c_str());
  // -1 means all images, and only one can be mounted.
  if (number < 1) throw Error("IMAGE_NOT_FOUND", "\"" + name + "\" is not the name or number of one image");
  return number;
}

#endif

// What is reported of an unmount, and the WIM that it is of.
struct Unmount {
  Progress progress;
  // Empty: nothing is written.
  std::string written;
  WimBefore before;
  // Of looking at it: libwim, whose call this is in, knows no exceptions.
  std::exception_ptr failure;
};

// The process that serves the mount sends its messages as they are in its memory. Their pointers mean nothing here, so
// only other members may be read. libwim fills in all of the first message itself.
wimlib_progress_status HandleForeign(wimlib_progress_msg message, wimlib_progress_info* info, void* context) {
  auto* const unmount = static_cast<Unmount*>(context);
  Progress* const progress = &unmount->progress;
  switch (message) {
    case WIMLIB_PROGRESS_MSG_UNMOUNT_BEGIN:
      if ((info->unmount.unmount_flags & WIMLIB_UNMOUNT_FLAG_COMMIT) &&
          (info->unmount.mount_flags & WIMLIB_MOUNT_FLAG_READWRITE)) {
        unmount->written = FromLibrary(info->unmount.mounted_wim);
        try {
          unmount->before = LookBefore(unmount->written);
        } catch (...) {
          unmount->failure = std::current_exception();
        }
      }
      return Progress::Handle(message, info, progress);
    case WIMLIB_PROGRESS_MSG_WRITE_STREAMS:
    case WIMLIB_PROGRESS_MSG_WRITE_METADATA_BEGIN:
    case WIMLIB_PROGRESS_MSG_WRITE_METADATA_END: return Progress::Handle(message, info, progress);
    case WIMLIB_PROGRESS_MSG_VERIFY_INTEGRITY:
    case WIMLIB_PROGRESS_MSG_CALC_INTEGRITY: {
      wimlib_progress_info copy = *info;
      copy.integrity.filename = nullptr;
      return Progress::Handle(message, &copy, progress);
    }
    default: return WIMLIB_PROGRESS_STATUS_CONTINUE;
  }
}

}  // namespace

void MountImage(const Object& values) {
#ifdef _WIN32
  (void)values;
  throw Error("UNSUPPORTED", "images can be mounted only on Linux");
#else
  const Arguments request(values);
  Nobody observer;
  ListForeignDescriptors();
  pthread_atfork(nullptr, nullptr, CloseForeignDescriptors);
  const auto texts = [&](const char* name) {
    List list;
    for (std::string& text : request.Texts(name)) list.push_back(std::move(text));
    return list;
  };
  const int open_flags = request.Int("openFlags");
  Value wim = RunOperation("open", {{"paths", texts("paths")}, {"flags", open_flags}}, observer);
  List references = texts("references");
  if (!references.empty()) {
    wim = RunOperation("reference",
                       {{"wim", wim},
                        {"paths", std::move(references)},
                        {"flags", WIMLIB_REF_FLAG_GLOB_ENABLE},
                        {"openFlags", open_flags & WIMLIB_OPEN_FLAG_CHECK_INTEGRITY}},
                       observer);
  }
  WIMStruct* handle = std::get<std::shared_ptr<const OpenWim> >(wim)->library->Handle();
  const int image = ImageNumber(request, handle);
  const std::string directory = request.Text("directory");
  const auto staging = request.OptionalText("stagingDirectory");
  CheckTree(*std::get<std::shared_ptr<const OpenWim> >(wim)->archive, static_cast<uint32_t>(image));
  ForgetSignalHandlers();
  const pid_t self = getpid();
  CheckLibrary("mount image " + std::to_string(image) + " on " + directory, [&] {
    const int code = Libwim().mount_image(handle, image, directory.c_str(), request.Int("flags"),
                                          staging ? staging->c_str() : nullptr);
    if (getpid() != self)
      _exit(code == 0 ? 0 : 1);  // the image is unmounted, and nothing else here may run in a forked process
    return code;
  });
#endif
}

void UnmountImage(const std::string& directory, int flags, Observer& observer) {
  Unmount unmount = {Progress(observer), "", {}, nullptr};
  CheckLibrary("unmount " + directory, [&] {
    return Libwim().unmount_image_with_progress(ToLibrary(directory).c_str(), flags, HandleForeign, &unmount);
  });
  if (unmount.failure) std::rethrow_exception(unmount.failure);
  if (!unmount.written.empty()) MendInPlace(unmount.written, unmount.before, {0, 0, true}, observer);
}

}  // namespace stowage::wim
