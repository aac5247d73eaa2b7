#include "extractor.h"

#include <wimlib.h>

#include <algorithm>
#include <optional>
#include <thread>

#include "../base/error.h"
#include "../base/little_endian.h"
#include "../base/worker_pool.h"
#include "blob_reader.h"
#include "extraction_meter.h"
#include "extraction_plan.h"
#include "file_names.h"
#include "link_target.h"

#ifdef _WIN32
#include "windows_target_directory.h"
#else
#include "target_directory.h"
#endif

namespace stowage::wim {

namespace {

#ifdef _WIN32
constexpr int kOfUnix = 0;
#else
constexpr int kOfUnix = WIMLIB_EXTRACT_FLAG_UNIX_DATA;
#endif

// What asks for more than plain files, or for what only libwim does. What UNIX has no attributes for, it ignores too.
constexpr int kCarried =
    kOfUnix | WIMLIB_EXTRACT_FLAG_NO_ACLS | WIMLIB_EXTRACT_FLAG_STRICT_ACLS | WIMLIB_EXTRACT_FLAG_RPFIX |
    WIMLIB_EXTRACT_FLAG_NORPFIX | WIMLIB_EXTRACT_FLAG_REPLACE_INVALID_FILENAMES |
    WIMLIB_EXTRACT_FLAG_ALL_CASE_CONFLICTS | WIMLIB_EXTRACT_FLAG_STRICT_TIMESTAMPS |
    WIMLIB_EXTRACT_FLAG_STRICT_SHORT_NAMES | WIMLIB_EXTRACT_FLAG_STRICT_SYMLINKS | WIMLIB_EXTRACT_FLAG_GLOB_PATHS |
    WIMLIB_EXTRACT_FLAG_STRICT_GLOB | WIMLIB_EXTRACT_FLAG_NO_ATTRIBUTES | WIMLIB_EXTRACT_FLAG_NO_PRESERVE_DIR_STRUCTURE;

constexpr uint64_t kWindow = 32u << 20;
// Of a UNIX mode.
constexpr uint32_t kFileType = 0170000;
constexpr uint32_t kRegularFile = 0100000;
// Of a dentry's reparse flags: the link was stored as it was, because its target was outside the tree.
constexpr uint16_t kNotFixed = 1;

// One tree, or some paths of it, extracted to a directory.
class Extractor {
 public:
  Extractor(const Archive& archive, const ImageTree& tree, const ExtractionPlan& plan, TargetDirectory& target,
            int flags, ExtractionMeter& meter)
      : archive_(archive),
        tree_(tree),
        plan_(plan),
        target_(target),
        flags_(flags),
        meter_(meter),
        pool_(std::max(1u, std::thread::hardware_concurrency())) {
    for (const ExtractionPlan::Content& content : plan.contents()) {
      meter.total_bytes += BlobOf(content).size;
      meter.total_streams++;
    }
  }

  // `root`: what absolute links are fixed to.
  void Run(const std::optional<std::string>& root) {
    root_ = root;
    MakeStructure();
    WriteContents();
    // Last: every file in a directory changes its time.
    Begin("extract-metadata", plan_.directories().size() + (plan_.with_root() ? 1 : 0));
    const auto& directories = plan_.directories();
    std::for_each(directories.rbegin(), directories.rend(), [this](uint32_t node) {
      target_.SetFacts(node, FactsOf(node));
      meter_.file_count++;
      meter_.Count("extract-metadata");
    });
    if (plan_.with_root()) target_.SetFacts(ExtractionPlan::kTarget, FactsOf(0));
    End("extract-metadata");
  }

 private:
  using Content = ExtractionPlan::Content;

  const Blob& BlobOf(const Content& content) const { return archive_.blobs().blobs()[content.blob]; }

  void Begin(const char* type, uint64_t count) {
    meter_.file_count = 0;
    meter_.end_file_count = count;
    meter_.CountNow(type);
  }
  void End(const char* type) {
    meter_.file_count = meter_.end_file_count;
    meter_.CountNow(type);
  }

  // Directories, and files without content.
  void MakeStructure() {
    const auto made = [](const ExtractionPlan::File& file) { return file.empty && !file.link; };
    const auto& files = plan_.files();
    Begin("extract-file-structure", plan_.directories().size() + (plan_.with_root() ? 1 : 0) +
                                        static_cast<uint64_t>(std::count_if(files.begin(), files.end(), made)));
    const auto count = [this] {
      meter_.file_count++;
      meter_.Count("extract-file-structure");
    };
    for (const uint32_t node : plan_.directories()) {
      target_.MakeDirectory(node);
      count();
    }
    for (const ExtractionPlan::File& file : files) {
      if (!made(file)) continue;
      const FileFacts facts = FactsOf(file.node);
      if (facts.owner && (facts.owner->mode & kFileType) != kRegularFile) {
        if (target_.MakeSpecial(file.names.front(), facts)) AddNames(file);
      } else {
        TargetDirectory::NewFile(target_, file.names.front()).Finish(facts);
        AddNames(file);
      }
      count();
    }
    End("extract-file-structure");
  }

  // Each blob is read once, and its files are written from it.
  void WriteContents() {
    const auto& contents = plan_.contents();
    std::vector<uint32_t> blobs;
    for (const Content& content : contents) {
      if (blobs.empty() || blobs.back() != content.blob) blobs.push_back(content.blob);
    }
    meter_.CountNow("extract-streams");
    BlobReader reader(archive_.blobs(), blobs, pool_, kWindow);
    for (size_t first = 0; first < contents.size();) {
      size_t end = first + 1;
      while (end < contents.size() && contents[end].blob == contents[first].blob) end++;
      WriteBlob(reader, &contents[first], &contents[first] + (end - first));
      first = end;
    }
    meter_.CountNow("extract-streams");
  }

  void WriteBlob(BlobReader& reader, const Content* first, const Content* end) {
    // To the first file as it comes; the others are copies of that.
    const Content* const file = std::find_if(first, end, [](const Content& content) { return !content.link; });
    const bool links = std::any_of(first, end, [](const Content& content) { return content.link; });
    const uint64_t size = BlobOf(*first).size;
    if (links && size > kLargestReparseData)
      Refuse(*first, "its reparse data has " + std::to_string(size) + " bytes, more than a link can have");
    std::optional<TargetDirectory::NewFile> written;
    if (file != end) written.emplace(target_, plan_.files()[file->file].names.front());
    std::vector<uint8_t> data;
    BlobReader::Piece piece{};
    do {
      Read(reader, *first, &piece);
      if (written) written->Write(piece.data, piece.size);
      if (links) data.insert(data.end(), piece.data, piece.data + piece.size);
      meter_.completed_bytes += piece.size;
      meter_.Count("extract-streams");
    } while (!piece.last);
    for (const Content* content = first; content != end; content++) {
      if (content != first) meter_.completed_bytes += size;
      const ExtractionPlan::File& of = plan_.files()[content->file];
      if (content->link) {
        MakeLink(of, data);
      } else if (written && content != file) {
        TargetDirectory::NewFile copy(target_, of.names.front());
        copy.Copy(*written, [this] { meter_.Count("extract-streams"); });
        copy.Finish(FactsOf(of.node));
      }
      if (content != file) AddNames(of);
      meter_.completed_streams++;
      meter_.Count("extract-streams");
    }
    if (!written) return;
    // After the copies: to read it changes its time of access.
    written->Finish(FactsOf(plan_.files()[file->file].node));
    AddNames(plan_.files()[file->file]);
  }

  void Read(BlobReader& reader, const Content& content, BlobReader::Piece* piece) {
    try {
      if (!reader.Next(piece)) throw Error("WIM_ERROR", "a blob is missing");
    } catch (const Error& error) {
      if (error.code() == "ABORTED") throw;
      throw Error(error.code(), std::string(error.what()) + "; it is the content of " +
                                    tree_.PathOf(plan_.files()[content.file].node));
    }
  }

  [[noreturn]] void Refuse(const Content& content, const std::string& why) const {
    throw Error("WIM_CORRUPT", archive_.path() + ", " + tree_.PathOf(plan_.files()[content.file].node) + ": " + why);
  }

  void MakeLink(const ExtractionPlan::File& file, const std::vector<uint8_t>& data) {
    const Dentry& dentry = tree_.dentry(file.node);
    const bool fixed = !(dentry.reparse_flags & kNotFixed);
    const auto target = LinkTarget(dentry.reparse_tag, data, fixed ? root_ : std::nullopt);
    if (!target)
      throw Error("WIM_CORRUPT", archive_.path() + ", " + tree_.PathOf(file.node) + ": its reparse data is no link's");
    target_.MakeLink(file.names.front(), *target, FactsOf(file.node));
  }

  void AddNames(const ExtractionPlan::File& file) {
    for (size_t n = 1; n < file.names.size(); n++) target_.MakeHardLink(file.names.front(), file.names[n]);
  }

  FileFacts FactsOf(uint32_t node) const {
    const Dentry& dentry = tree_.dentry(node);
    FileFacts facts;
    facts.creation_time = dentry.creation_time;
    facts.access_time = dentry.access_time;
    facts.write_time = dentry.write_time;
    facts.attributes = dentry.attributes & (flags_ & WIMLIB_EXTRACT_FLAG_NO_ATTRIBUTES ? kAttributeDirectory : ~0u);
    facts.strict_times = (flags_ & WIMLIB_EXTRACT_FLAG_STRICT_TIMESTAMPS) != 0;
    facts.strict_owner = (flags_ & WIMLIB_EXTRACT_FLAG_STRICT_ACLS) != 0;
    if ((flags_ & WIMLIB_EXTRACT_FLAG_UNIX_DATA) && dentry.unix_data.size >= kUnixDataSize) {
      const uint8_t* const bytes = tree_.metadata().bytes(dentry.unix_data);
      facts.owner = {Load32(bytes), Load32(bytes + 4), Load32(bytes + 8), Load32(bytes + 12)};
    }
    return facts;
  }

  const Archive& archive_;
  const ImageTree& tree_;
  const ExtractionPlan& plan_;
  TargetDirectory& target_;
  const int flags_;
  ExtractionMeter& meter_;
  std::optional<std::string> root_;
  WorkerPool pool_;
};

ImageTree ReadTree(const Extraction& extraction, int image) {
  const Archive& archive = *extraction.archive;
  const auto number = static_cast<uint32_t>(image);
  if (image < 1 || number > archive.blobs().metadata().size())
    throw Error("WIMLIB_ERR_INVALID_IMAGE", archive.path() + " has no image " + std::to_string(image));
  return ImageTree(archive.ReadMetadata(number), archive.path() + ", metadata of image " + std::to_string(number));
}

void CheckFlags(const Extraction& extraction) {
  const auto both = [&](int one, int other) { return (extraction.flags & one) && (extraction.flags & other); };
  if (extraction.target.empty()) throw Error("WIMLIB_ERR_INVALID_PARAM", "the directory to extract to has no name");
  if (both(WIMLIB_EXTRACT_FLAG_RPFIX, WIMLIB_EXTRACT_FLAG_NORPFIX) ||
      both(WIMLIB_EXTRACT_FLAG_NO_ACLS, WIMLIB_EXTRACT_FLAG_STRICT_ACLS))
    throw Error("WIMLIB_ERR_INVALID_PARAM", "options of the extraction rule each other out");
}

struct Events {
  const char* begin;
  const char* end;
};
constexpr Events kImageEvents = {"extract-image-begin", "extract-image-end"};
constexpr Events kTreeEvents = {"extract-tree-begin", "extract-tree-end"};

void ExtractNodes(const Extraction& extraction, const ImageTree& tree, int image, const std::vector<uint32_t>& nodes,
                  const std::string& path, TargetDirectory::Links links, bool rpfix, const Events& events,
                  Observer& observer) {
  const ExtractionPlan plan(*extraction.archive, tree, nodes, extraction.flags);
  ExtractionMeter meter(extraction, static_cast<uint32_t>(image), path, observer);
  TargetDirectory target(path, links, plan);
  Extractor extractor(*extraction.archive, tree, plan, target, extraction.flags, meter);
  meter.Report(events.begin);
  extractor.Run(rpfix ? std::optional(TargetDirectory::RealPath(path)) : std::nullopt);
  meter.Report(events.end);
}

void ExtractWhole(const Extraction& extraction, int image, const std::string& path, TargetDirectory::Links links,
                  Observer& observer) {
  const ImageTree tree = ReadTree(extraction, image);
  const bool fixed = (extraction.archive->header().flags & Header::kRpFix) != 0;
  const bool rpfix =
      extraction.flags & WIMLIB_EXTRACT_FLAG_RPFIX || (fixed && !(extraction.flags & WIMLIB_EXTRACT_FLAG_NORPFIX));
  std::vector<uint32_t> nodes;
  if (!tree.empty()) nodes.push_back(0);
  ExtractNodes(extraction, tree, image, nodes, path, links, rpfix, kImageEvents, observer);
}

// Its name, or its number where that cannot be a directory's.
std::string DirectoryOf(const Extraction& extraction, uint32_t image) {
  const std::string& name = extraction.image_names.at(image - 1);
  const bool fine = !name.empty() && name != "." && name != ".." && IsFileName(name);
  return extraction.target + "/" + (fine ? name : std::to_string(image));
}

void ExtractAll(const Extraction& extraction, Observer& observer) {
  const auto count = static_cast<uint32_t>(extraction.archive->blobs().metadata().size());
  for (uint32_t image = 1; image <= count; image++) {
    const std::string path = DirectoryOf(extraction, image);
    if (!TargetDirectory::IsLink(path)) continue;
    throw Error("INVALID_ARGUMENT", path + " is a symbolic link, through which image " + std::to_string(image) +
                                        " would be extracted elsewhere");
  }
  TargetDirectory::Create(extraction.target);
  for (uint32_t image = 1; image <= count; image++) {
    ExtractWhole(extraction, static_cast<int>(image), DirectoryOf(extraction, image), TargetDirectory::Links::kRefuse,
                 observer);
  }
}

}  // namespace

bool CanExtract(int flags) { return (flags & ~kCarried) == 0; }

void ExtractImage(const Extraction& extraction, int image, Observer& observer) {
  constexpr int kForPaths = WIMLIB_EXTRACT_FLAG_GLOB_PATHS | WIMLIB_EXTRACT_FLAG_NO_PRESERVE_DIR_STRUCTURE;
  CheckFlags(extraction);
  if (extraction.flags & kForPaths) throw Error("WIMLIB_ERR_INVALID_PARAM", "options for paths, but no paths");
  if (image == WIMLIB_ALL_IMAGES) {
    ExtractAll(extraction, observer);
  } else {
    ExtractWhole(extraction, image, extraction.target, TargetDirectory::Links::kFollow, observer);
  }
}

void ExtractImagePaths(const Extraction& extraction, int image, const std::vector<std::string>& paths,
                       Observer& observer) {
  CheckFlags(extraction);
  const ImageTree tree = ReadTree(extraction, image);
  // As libwim does it, even if nothing is found.
  if (extraction.flags & WIMLIB_EXTRACT_FLAG_NO_PRESERVE_DIR_STRUCTURE) TargetDirectory::Create(extraction.target);
  const bool glob = (extraction.flags & WIMLIB_EXTRACT_FLAG_GLOB_PATHS) != 0;
  const bool strict = !glob || (extraction.flags & WIMLIB_EXTRACT_FLAG_STRICT_GLOB);
  std::vector<uint32_t> nodes;
  for (const std::string& path : paths) {
    const auto found = glob ? tree.Match(path, extraction.sensitivity) : tree.Find(path, extraction.sensitivity);
    if (found.empty() && strict) {
      throw Error("WIMLIB_ERR_PATH_DOES_NOT_EXIST", extraction.archive->path() + ": nothing in image " +
                                                        std::to_string(image) + (glob ? " matches " : " is named ") +
                                                        path);
    }
    nodes.insert(nodes.end(), found.begin(), found.end());
  }
  if (nodes.empty()) return;
  ExtractNodes(extraction, tree, image, nodes, extraction.target, TargetDirectory::Links::kFollow,
               (extraction.flags & WIMLIB_EXTRACT_FLAG_RPFIX) != 0, kTreeEvents, observer);
}

}  // namespace stowage::wim
