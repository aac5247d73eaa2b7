#include "archive.h"

#include <algorithm>
#include <cstdlib>

#include "error.h"

#ifdef _WIN32
#include <windows.h>
#endif

namespace wim {

namespace {

#ifdef _WIN32
std::wstring ToLibrary(const std::string& text) { return Wide(text); }
#else
const std::string& ToLibrary(const std::string& text) { return text; }
#endif

struct Part {
  std::unique_ptr<File> file;
  Header header;
};

std::vector<Part> OpenParts(const std::vector<std::string>& paths) {
  std::vector<Part> parts;
  for (const std::string& path : paths) {
    auto file = std::make_unique<File>(path, File::Mode::kRead);
    const Header header = Header::From(*file);
    parts.push_back({std::move(file), header});
  }
  std::sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.header.part < b.header.part; });
  const Header& first = parts.front().header;
  for (size_t i = 0; i < parts.size(); i++) {
    const Header& header = parts[i].header;
    const std::string& path = parts[i].file->path();
    if (header.guid != first.guid || header.total_parts != first.total_parts) {
      throw Error("WIM_PART_MISSING", path + " is not a part of the same WIM as " + parts.front().file->path());
    }
    if (header.part != i + 1) {
      throw Error("WIM_PART_MISSING", "expected part " + std::to_string(i + 1) + " of " +
                                          std::to_string(header.total_parts) + " but found part " +
                                          std::to_string(header.part) + ", " + path);
    }
  }
  if (parts.size() != first.total_parts) {
    throw Error("WIM_PART_MISSING", parts.front().file->path() + " is the first of " +
                                        std::to_string(first.total_parts) + " parts; found " +
                                        std::to_string(parts.size()));
  }
  return parts;
}

}  // namespace

std::shared_ptr<Archive> Archive::Open(const std::vector<std::string>& paths) {
  std::shared_ptr<Archive> archive(new Archive);
  std::vector<Part> parts = OpenParts(paths);
  archive->path_ = parts.front().file->path();
  archive->info_.header = parts.front().header;
  CheckLibrary("open " + archive->path_, [&] {
    WIMStruct* handle = nullptr;
    const int code = wimlib_open_wim(ToLibrary(archive->path_).c_str(), 0, &handle);
    archive->handle_.reset(handle);
    return code;
  });
  wimlib_wim_info info = {};
  CheckLibrary("read " + archive->path_, [&] { return wimlib_get_wim_info(archive->handle_.get(), &info); });
  archive->info_.boot_index = info.boot_index;
  archive->info_.has_integrity_table = info.has_integrity_table;
  archive->info_.readonly = info.is_marked_readonly;
  archive->info_.rpfix = info.has_rpfix;
  for (Part& part : parts) {
    archive->info_.size += part.file->size();
    part.file->AdviseSequential();
    archive->blobs_.Add(std::move(part.file), part.header);
  }
  return archive;
}

std::vector<uint8_t> Archive::Xml() const {
  std::lock_guard<std::mutex> lock(mutex_);
  void* data = nullptr;
  size_t size = 0;
  CheckLibrary("read the XML of " + path_, [&] { return wimlib_get_xml_data(handle_.get(), &data, &size); });
  const auto* bytes = static_cast<const uint8_t*>(data);
  std::vector<uint8_t> xml(bytes, bytes + size);
  std::free(data);
  return xml;
}

std::optional<std::string> Archive::Property(uint32_t image, const std::string& name) const {
  std::lock_guard<std::mutex> lock(mutex_);
  const wimlib_tchar* value =
      wimlib_get_image_property(handle_.get(), static_cast<int>(image), ToLibrary(name).c_str());
  if (value == nullptr) return std::nullopt;
#ifdef _WIN32
  std::string text;
  const int size = WideCharToMultiByte(CP_UTF8, 0, value, -1, nullptr, 0, nullptr, nullptr);
  text.resize(static_cast<size_t>(size));
  WideCharToMultiByte(CP_UTF8, 0, value, -1, text.data(), size, nullptr, nullptr);
  text.resize(text.size() - 1);
  return text;
#else
  return std::string(value);
#endif
}

Metadata Archive::ReadMetadata(uint32_t image) const { return Metadata(blobs_, image - 1, path_); }

}  // namespace wim
