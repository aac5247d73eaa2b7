// One WIMStruct of libwim, and what we know of its files ourselves.
#ifndef STOWAGE_WIM_WIM_STRUCT_H_
#define STOWAGE_WIM_WIM_STRUCT_H_

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "archive.h"
#include "containment.h"
#include "library.h"

namespace stowage::wim {

// libwim allows a WIMStruct one caller at a time. An operation locks those it uses for as long as it lasts.
struct WimStruct {
  explicit WimStruct(ArchiveHandle owned) : handle(std::move(owned)) {}

  const ArchiveHandle handle;
  std::mutex mutex;
  // Under the mutex: the trees that libwim may be given.
  TreeGuard guard;
  // Under the mutex: an image was added, changed or deleted, or blobs of other WIMs came.
  bool changed = false;
};

// A WIM as JavaScript holds it. It never changes: where the file does, another takes its place.
struct OpenWim {
  std::shared_ptr<WimStruct> library;
  // Null for a WIM that is no file yet.
  std::shared_ptr<const Archive> archive;
  // libwim's open flags, to open it again.
  int open_flags = 0;
};

// What libwim says of a WIM as it is in memory.
wimlib_wim_info InfoOf(const OpenWim& wim);
// A property of image `image` (1-based) by libwim's path: "NAME", "WINDOWS/VERSION/BUILD".
std::optional<std::string> PropertyOf(const OpenWim& wim, int image, const std::string& name);

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_WIM_STRUCT_H_
