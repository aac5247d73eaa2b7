#include "archive.h"

#include <algorithm>

#include "../base/error.h"
#include "containment.h"
#include "limits.h"

namespace stowage::wim {

namespace {

struct Part {
  std::unique_ptr<File> file;
  Header header;
};

std::vector<Part> OpenParts(const std::vector<std::string>& paths) {
  std::vector<Part> parts;
  for (const std::string& path : paths) {
    auto file = std::make_unique<File>(path, File::Mode::kRead);
    const Header header = Header::From(*file);
    CheckHeader(*file, header);
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

std::vector<uint8_t> ReadXml(const File& file, const Header& header) {
  if (header.xml.size_in_wim == 0) throw Error("WIM_CORRUPT", file.path() + " has no XML data");
  Decompressors decompressors;
  return ReadWhole(Resource::From(file, header, header.xml), kLargestXml, decompressors);
}

}  // namespace

std::shared_ptr<const Archive> Archive::Open(const std::vector<std::string>& paths,
                                             const std::vector<std::string>& references) {
  std::shared_ptr<Archive> archive(new Archive);
  std::vector<Part> parts = OpenParts(paths);
  archive->header_ = parts.front().header;
  archive->xml_ = ReadXml(*parts.front().file, archive->header_);
  for (Part& part : parts) {
    archive->paths_.push_back(part.file->path());
    archive->size_ += part.file->size();
    part.file->AdviseSequential();
    archive->blobs_.Add(std::move(part.file), part.header);
  }
  const size_t images = archive->blobs_.metadata().size();
  if (images < archive->header_.image_count) {
    throw Error("WIM_CORRUPT", archive->path() + ": its header says " + std::to_string(archive->header_.image_count) +
                                   " images, but its blob table has the metadata of " + std::to_string(images));
  }
  for (const std::string& path : references) {
    auto file = std::make_unique<File>(path, File::Mode::kRead);
    const Header header = Header::From(*file);
    CheckHeader(*file, header);
    archive->blobs_.AddReference(std::move(file), header);
    archive->references_.push_back(path);
  }
  return archive;
}

Metadata Archive::ReadMetadata(uint32_t image) const { return Metadata(blobs_, image - 1, path()); }

}  // namespace stowage::wim
