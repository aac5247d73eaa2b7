// One WIMStruct of libwim, and what our own readers know about its files.
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
  // Under the mutex: the images that libwim may load.
  TreeGuard guard;
  // Under the mutex: an image was added, changed or deleted, or blobs of other WIMs were referenced.
  bool changed = false;
};

// A WIM as JavaScript holds it. It never changes: if the file does, a new one replaces it.
struct OpenWim {
  std::shared_ptr<WimStruct> library;
  // Null for a WIM that is not a file yet.
  std::shared_ptr<const Archive> archive;
  // libwim's open flags, to open it again.
  int open_flags = 0;
};

// libwim's information about a WIM as it is in memory.
wimlib_wim_info InfoOf(const OpenWim& wim);
// A property of image `image` (1-based) by libwim's path: "NAME", "WINDOWS/VERSION/BUILD".
std::optional<std::string> PropertyOf(const OpenWim& wim, int image, const std::string& name);

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_WIM_STRUCT_H_
