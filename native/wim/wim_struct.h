// A WIM as JavaScript holds it: our own readers of its files, and libwim's WIMStruct where libwim does the work.
#ifndef STOWAGE_WIM_WIM_STRUCT_H_
#define STOWAGE_WIM_WIM_STRUCT_H_

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "archive.h"
#include "containment.h"
#include "library.h"
#include "observer.h"

namespace stowage::wim {

// libwim opens the files when it is first needed. It allows a WIMStruct one caller at a time: an operation locks those
// it uses for as long as it lasts, and all members are used under the mutex.
class WimStruct {
 public:
  // Made in memory.
  explicit WimStruct(ArchiveHandle made) : handle_(std::move(made)), opened_(true) {}
  // Of `archive`, without its references. `flags` are libwim's to open it.
  WimStruct(std::shared_ptr<const Archive> archive, int flags) : archive_(std::move(archive)), flags_(flags) {}

  // Throws LIBWIM_MISSING, WIMLIB_ERR_*, or WIM_ERROR if the file has changed since it was opened.
  WIMStruct* Handle();
  // Whether libwim has it, with what was changed in memory. Needs no mutex.
  bool opened() const { return opened_; }
  // libwim finds blobs in these files too, now or once it opens the WIM. `about` opens the message of an error.
  void Reference(const std::vector<std::string>& paths, const std::string& about);
  // Where libwim reports to from now on; null: nowhere.
  void ReportTo(Progress* progress);

  std::mutex mutex;
  // The images that libwim may load.
  TreeGuard guard;
  // An image was added, changed or deleted, or blobs of other WIMs were referenced.
  bool changed = false;

 private:
  ArchiveHandle Open() const;

  ArchiveHandle handle_;
  std::atomic<bool> opened_{false};
  const std::shared_ptr<const Archive> archive_;
  const int flags_ = 0;
  std::vector<std::string> references_;
  Progress* progress_ = nullptr;
};

// It never changes: if the file does, a new one replaces it.
struct OpenWim {
  std::shared_ptr<WimStruct> library;
  // Null for a WIM that is not a file yet.
  std::shared_ptr<const Archive> archive;
  // libwim's open flags, to open it again.
  int open_flags = 0;
};

// Information about a WIM as it is in memory, as libwim gives it. Waits for a running operation.
wimlib_wim_info InfoOf(const OpenWim& wim);
// A property of image `image` (1-based) by libwim's path, "WINDOWS/VERSION/BUILD", as libwim has it in memory.
std::optional<std::string> PropertyOf(const OpenWim& wim, int image, const std::string& name);

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_WIM_STRUCT_H_
