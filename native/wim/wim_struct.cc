#include "wim_struct.h"

#include <algorithm>

#include "../base/error.h"
#include "text.h"

namespace stowage::wim {

namespace {

void ReferenceFiles(WIMStruct* wim, const std::vector<std::string>& paths, const std::string& about) {
  const LibraryTexts list(paths);
  CheckLibrary(about, [&] {
    return Libwim().reference_resource_files(wim, list.data(), static_cast<unsigned>(list.size()), 0, 0);
  });
}

wimlib_wim_info InfoOf(const Archive& archive) {
  const Header& header = archive.header();
  wimlib_wim_info info = {};
  std::copy(header.guid.begin(), header.guid.end(), info.guid);
  info.image_count = header.image_count;
  info.boot_index = header.boot_index;
  info.wim_version = header.version;
  info.chunk_size = header.chunk_size;
  info.part_number = header.part;
  info.total_parts = header.total_parts;
  info.compression_type = header.compression;
  info.has_integrity_table = header.integrity.offset != 0;
  info.has_rpfix = (header.flags & Header::kRpFix) != 0;
  info.is_marked_readonly = (header.flags & Header::kReadonly) != 0;
  info.spanned = (header.flags & Header::kSpanned) != 0;
  info.write_in_progress = (header.flags & Header::kWriteInProgress) != 0;
  info.metadata_only = (header.flags & Header::kMetadataOnly) != 0;
  info.resource_only = (header.flags & Header::kResourceOnly) != 0;
  info.pipable = header.pipable;
  return info;
}

}  // namespace

WIMStruct* WimStruct::Handle() {
  if (!handle_) {
    ArchiveHandle opened = Open();
    if (!references_.empty()) ReferenceFiles(opened.get(), references_, "open references for " + archive_->path());
    handle_ = std::move(opened);
    opened_ = true;
    references_.clear();
  }
  return handle_.get();
}

ArchiveHandle WimStruct::Open() const {
  const std::string& path = archive_->path();
  WIMStruct* opened = nullptr;
  CheckLibrary("open " + path, [&] {
    const auto report = progress_ == nullptr ? nullptr : Progress::Handle;
    return Libwim().open_wim_with_progress(ToLibrary(path).c_str(), flags_, &opened, report, progress_);
  });
  ArchiveHandle owned(opened);
  // libwim must not see other content than our readers do
  const Header now = Header::From(File(path, File::Mode::kRead));
  const Header& then = archive_->header();
  if (now.guid != then.guid || now.blob_table.offset != then.blob_table.offset || now.xml.offset != then.xml.offset)
    throw Error("WIM_ERROR", path + " was changed by another program while it was open");
  const auto& parts = archive_->paths();
  if (parts.size() > 1) ReferenceFiles(opened, {parts.begin() + 1, parts.end()}, "open the parts of " + path);
  return owned;
}

void WimStruct::Reference(const std::vector<std::string>& paths, const std::string& about) {
  if (handle_) {
    ReferenceFiles(handle_.get(), paths, about);
  } else {
    references_.insert(references_.end(), paths.begin(), paths.end());
  }
}

void WimStruct::ReportTo(Progress* progress) {
  progress_ = progress;
  if (handle_)
    Libwim().register_progress_function(handle_.get(), progress == nullptr ? nullptr : Progress::Handle, progress);
}

wimlib_wim_info InfoOf(const OpenWim& wim) {
  std::lock_guard<std::mutex> lock(wim.library->mutex);
  if (!wim.library->opened()) return InfoOf(*wim.archive);
  wimlib_wim_info info = {};
  CheckLibrary("read a WIM", [&] { return Libwim().get_wim_info(wim.library->Handle(), &info); });
  return info;
}

std::optional<std::string> PropertyOf(const OpenWim& wim, int image, const std::string& name) {
  std::lock_guard<std::mutex> lock(wim.library->mutex);
  const wimlib_tchar* value = Libwim().get_image_property(wim.library->Handle(), image, ToLibrary(name).c_str());
  if (value == nullptr) return std::nullopt;
  return FromLibrary(value);
}

}  // namespace stowage::wim
