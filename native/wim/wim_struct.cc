#include "wim_struct.h"

#include "text.h"

namespace stowage::wim {

wimlib_wim_info InfoOf(const OpenWim& wim) {
  std::lock_guard<std::mutex> lock(wim.library->mutex);
  wimlib_wim_info info = {};
  CheckLibrary("read a WIM", [&] { return Libwim().get_wim_info(wim.library->handle.get(), &info); });
  return info;
}

std::optional<std::string> PropertyOf(const OpenWim& wim, int image, const std::string& name) {
  std::lock_guard<std::mutex> lock(wim.library->mutex);
  const wimlib_tchar* value = Libwim().get_image_property(wim.library->handle.get(), image, ToLibrary(name).c_str());
  if (value == nullptr) return std::nullopt;
  return FromLibrary(value);
}

}  // namespace stowage::wim
