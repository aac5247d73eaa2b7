#include "verifier.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <string_view>
#include <tuple>

#include "../base/error.h"
#include "../base/little_endian.h"
#include "blob_reader.h"
#include "integrity_check.h"
#include "text.h"
#include "wim_struct.h"

namespace stowage::wim {

namespace {

constexpr char kMetadataFinding[] = "metadata";
constexpr char kBlobFinding[] = "blob";
constexpr char kMissingBlobFinding[] = "missing-blob";
constexpr char kIntegrityFinding[] = "integrity";

constexpr uint64_t kWindow = 32u << 20;
// Paths reported for one blob.
constexpr size_t kMostPaths = 10;
// The longest path of Windows, in UTF-16 units.
constexpr size_t kLongestPath = 32767;
// Of all paths reported.
constexpr uint64_t kMostPathLength = 8u << 20;
constexpr std::chrono::milliseconds kBetweenReports{50};

// Reports an error that is about the archive; any other is thrown.
template <typename Work, typename Report>
void ReportDamage(Work work, Report report) {
  try {
    work();
  } catch (const Error& error) {
    if (error.code() != "WIM_CORRUPT" && error.code() != "UNSUPPORTED" && error.code() != "EIO") throw;
    report(error);
  }
}

struct StreamProgress {
  uint64_t total_bytes = 0;
  uint64_t completed_bytes = 0;
  uint64_t total_streams = 0;
  uint64_t completed_streams = 0;

  void ReportTo(Observer& observer) const {
    observer.ReportCount("verify-streams", {{"type", "verify-streams"},
                                            {"totalBytes", total_bytes},
                                            {"completedBytes", completed_bytes},
                                            {"totalStreams", total_streams},
                                            {"completedStreams", completed_streams}});
  }
};

// The dentry's whole path in WTF-8, without its beginning if it is longer than Windows allows.
std::string PathOf(const Metadata& metadata, uint32_t index) {
  std::vector<const Dentry*> names;
  size_t length = 0;
  while (metadata.dentries()[index].parent != Dentry::kNoParent && length < kLongestPath) {
    const Dentry& dentry = metadata.dentries()[index];
    names.push_back(&dentry);
    length += dentry.name.size / 2 + 1;
    index = dentry.parent;
  }
  if (names.empty()) return "/";
  std::u16string path;
  path.reserve(length);
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    path += u'/';
    const uint8_t* const bytes = metadata.bytes((*name)->name);
    for (uint32_t i = 0; i + 1 < (*name)->name.size; i += 2) path += static_cast<char16_t>(Load16(bytes + i));
  }
  return Wtf8FromUtf16(path);
}

}  // namespace

struct Verifier::Users {
  std::vector<std::string> paths;
  uint64_t count = 0;
  // 0 when there are several.
  uint32_t image = 0;
};

Verifier::Verifier(std::shared_ptr<const Archive> archive, Options options, Observer& observer)
    : archive_(std::move(archive)), options_(options), observer_(observer), pool_(options.threads) {}

Verification Verifier::Run() {
  if (options_.integrity) {
    uint32_t part = 0;
    for (const std::string& path : archive_->paths()) {
      part++;
      const auto report = [this, part](const std::string& message, uint64_t offset) {
        Finding& finding = Report(kIntegrityFinding, message);
        finding.offset = offset;
        finding.part = part;
      };
      ReportDamage([&] { CheckIntegrity(path, pool_, observer_, report); },
                   [&](const Error& error) { Report(kIntegrityFinding, error.what()).part = part; });
    }
  }
  CheckImages();
  CheckBlobs();
  NameFiles();
  return std::move(result_);
}

void Verifier::StopIfCancelled() const {
  if (observer_.cancelled()) throw Error("ABORTED", "interrupted before the end");
}

Finding& Verifier::Report(const char* type, const std::string& message) {
  result_.findings.push_back({type, message, {}, 0, {}, 0, {}, {}});
  return result_.findings.back();
}

void Verifier::ReportBlob(const Blob& blob, const std::string& message) {
  const Resource& resource = archive_->blobs().resources()[blob.resource];
  Finding& finding = Report(kBlobFinding, message);
  finding.sha1 = blob.hash;
  finding.offset = resource.offset;
  const auto& paths = archive_->paths();
  const auto part = std::find(paths.begin(), paths.end(), resource.file->path());
  if (part != paths.end()) finding.part = static_cast<uint32_t>(part - paths.begin() + 1);
}

void Verifier::CheckImages() {
  const auto& metadata = archive_->blobs().metadata();
  const auto total = static_cast<uint32_t>(metadata.size());
  result_.images = total;
  if (archive_->header().image_count != total) {
    Report(kMetadataFinding, archive_->path() + ": its header says " + std::to_string(archive_->header().image_count) +
                                 " images, but its blob table has the metadata of " + std::to_string(total));
  }
  const std::vector<Standing> standings = StandingsOf(metadata);
  UsersOf missing;
  const auto report = [&](const char* type, uint32_t image) {
    observer_.Report({{"type", type}, {"image", image}, {"totalImages", total}});
  };
  for (uint32_t image = 1; image <= total; image++) {
    StopIfCancelled();
    report("verify-image-begin", image);
    const Blob& blob = metadata[image - 1];
    const Resource& resource = archive_->blobs().resources()[blob.resource];
    ReportDamage(
        [&] {
          if (standings[image - 1] == Standing::kOverlaps)
            throw Error("WIM_CORRUPT", resource.Describe() + ": the metadata of image " + std::to_string(image) +
                                           " overlaps that of another image");
          if (standings[image - 1] == Standing::kRepeats) return;
          CheckImage(image, missing);
          readable_.push_back(image);
        },
        [&](const Error& error) {
          Finding& finding = Report(kMetadataFinding, error.what());
          finding.image = image;
          finding.sha1 = blob.hash;
          finding.offset = resource.offset;
        });
    report("verify-image-end", image);
  }
  for (auto& [hash, users] : missing) {
    Finding& finding =
        Report(kMissingBlobFinding, archive_->path() + " does not hold the blob with SHA-1 " + Hex(hash) +
                                        ", which its files need; a delta WIM needs the WIM it was made from");
    finding.sha1 = hash;
    finding.image = users.image;
    finding.paths = std::move(users.paths);
    finding.uses = users.count;
  }
}

// Images may share one metadata resource, which is then checked once. Otherwise no two may overlap, so that a blob
// table cannot make us check the same bytes any number of times.
std::vector<Verifier::Standing> Verifier::StandingsOf(const std::vector<Blob>& metadata) const {
  const auto resource = [&](uint32_t image) -> const Resource& {
    return archive_->blobs().resources()[metadata[image].resource];
  };
  std::vector<uint32_t> order(metadata.size());
  for (uint32_t i = 0; i < order.size(); i++) order[i] = i;
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return std::make_tuple(resource(a).file, resource(a).offset, a) <
           std::make_tuple(resource(b).file, resource(b).offset, b);
  });
  std::vector<Standing> standings(metadata.size(), Standing::kApart);
  size_t apart = 0;  // the last one, in `order`
  for (size_t i = 1; i < order.size(); i++) {
    const Resource& before = resource(order[apart]);
    const Resource& at = resource(order[i]);
    if (at.file != before.file || at.offset - before.offset >= before.size_in_wim) {
      apart = i;
      continue;
    }
    const bool same = at.offset == before.offset && metadata[order[i]].hash == metadata[order[apart]].hash;
    standings[order[i]] = same ? Standing::kRepeats : Standing::kOverlaps;
  }
  return standings;
}

void Verifier::CheckImage(uint32_t image, UsersOf& missing) {
  const Metadata metadata = archive_->ReadMetadata(image);
  for (uint32_t index = 0; index < metadata.dentries().size(); index++) {
    const Dentry& dentry = metadata.dentries()[index];
    for (uint32_t i = 0; i < dentry.stream_count; i++) {
      const Sha1Hash& hash = metadata.streams()[dentry.first_stream + i].hash;
      if (IsZero(hash) || archive_->blobs().Find(hash)) continue;
      AddUser(missing[hash], metadata, index, image);
    }
  }
}

void Verifier::AddUser(Users& users, const Metadata& metadata, uint32_t index, uint32_t image) {
  users.image = users.count == 0 || users.image == image ? image : 0;
  users.count++;
  if (users.paths.size() >= kMostPaths || path_length_ >= kMostPathLength) return;
  users.paths.push_back(PathOf(metadata, index));
  path_length_ += users.paths.back().size();
}

void Verifier::CheckBlobs() {
  const BlobTable& table = archive_->blobs();
  const std::vector<uint32_t> order = BlobsInFileOrder();
  StreamProgress progress;
  progress.total_streams = order.size();
  for (const uint32_t index : order) progress.total_bytes += table.blobs()[index].size;
  progress.ReportTo(observer_);
  auto reported = std::chrono::steady_clock::now();
  BlobReader reader(table, order, pool_, kWindow);
  BlobReader::Verdict verdict;
  for (;;) {
    StopIfCancelled();
    if (!reader.Check(&verdict)) break;
    const Blob& blob = table.blobs()[order[verdict.request]];
    if (verdict.damage) {
      ReportDamage([&] { std::rethrow_exception(verdict.damage); },
                   [&](const Error& error) { ReportBlob(blob, error.what()); });
    }
    progress.completed_streams++;
    progress.completed_bytes += blob.size;
    const auto now = std::chrono::steady_clock::now();
    if (now - reported < kBetweenReports && progress.completed_streams < progress.total_streams) continue;
    reported = now;
    progress.ReportTo(observer_);
  }
  result_.blobs = progress.completed_streams;
  result_.bytes = progress.completed_bytes;
}

// All blobs in file order. If two overlap, at least one of them is wrong: the second is reported as damaged, so that a
// blob table cannot make us read a byte of a resource more than once.
std::vector<uint32_t> Verifier::BlobsInFileOrder() {
  const BlobTable& table = archive_->blobs();
  std::map<const File*, size_t> files;
  for (const Resource& resource : table.resources()) files.emplace(resource.file, files.size());
  const auto place = [&](uint32_t index) {
    const Blob& blob = table.blobs()[index];
    const Resource& resource = table.resources()[blob.resource];
    return std::make_tuple(files.at(resource.file), resource.offset, blob.resource, blob.offset, index);
  };
  std::vector<uint32_t> order(table.blobs().size());
  for (uint32_t i = 0; i < order.size(); i++) order[i] = i;
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return place(a) < place(b); });

  std::vector<uint32_t> apart;
  const File* file = nullptr;
  const Resource* resource = nullptr;
  uint64_t resource_end = 0;  // in the file
  uint64_t blob_end = 0;      // in a solid resource
  for (const uint32_t index : order) {
    const Blob& blob = table.blobs()[index];
    const Resource& at = table.resources()[blob.resource];
    if (at.file != file) resource_end = 0;
    const bool another = &at != resource;
    if (another ? at.offset < resource_end : blob.offset < blob_end) {
      ReportBlob(blob, at.Describe() + ": the blob with SHA-1 " + Hex(blob.hash) + " overlaps another blob");
      continue;
    }
    apart.push_back(index);
    file = at.file;
    resource = &at;
    // A resource that extends past the end of the file is reported when it is read.
    resource_end = at.size_in_wim > UINT64_MAX - at.offset ? UINT64_MAX : at.offset + at.size_in_wim;
    blob_end = blob.offset + blob.size;
  }
  return apart;
}

void Verifier::NameFiles() {
  UsersOf damaged;
  for (const Finding& finding : result_.findings) {
    if (finding.sha1 && finding.type == std::string_view(kBlobFinding)) damaged[*finding.sha1];
  }
  if (damaged.empty()) return;
  for (const uint32_t image : readable_) {
    StopIfCancelled();
    const Metadata metadata = archive_->ReadMetadata(image);
    for (uint32_t index = 0; index < metadata.dentries().size(); index++) {
      const Dentry& dentry = metadata.dentries()[index];
      for (uint32_t i = 0; i < dentry.stream_count; i++) {
        const auto found = damaged.find(metadata.streams()[dentry.first_stream + i].hash);
        if (found != damaged.end()) AddUser(found->second, metadata, index, image);
      }
    }
  }
  for (Finding& finding : result_.findings) {
    if (!finding.sha1 || finding.type != std::string_view(kBlobFinding)) continue;
    const Users& users = damaged[*finding.sha1];
    finding.paths = users.paths;
    finding.uses = users.count;
    finding.image = users.image;
  }
}

Value Verify(const Arguments& arguments, Observer& observer) {
  const auto archive = arguments.Wim("wim")->archive;
  if (!archive) throw Error("INVALID_ARGUMENT", "this WIM is not a file yet: write it, then open the file");
  Verifier::Options options;
  options.threads = static_cast<unsigned>(std::clamp(arguments.Int("threads"), 1, 256));
  options.integrity = arguments.Int("integrity") != 0;
  Verification verification = Verifier(archive, options, observer).Run();
  List findings;
  for (Finding& finding : verification.findings) {
    Object object = {{"type", finding.type}, {"message", std::move(finding.message)}};
    if (finding.sha1) object.emplace_back("sha1", Hex(*finding.sha1));
    if (finding.image != 0) object.emplace_back("image", finding.image);
    if (finding.uses != 0) {
      object.emplace_back("paths", List(finding.paths.begin(), finding.paths.end()));
      object.emplace_back("uses", finding.uses);
    }
    if (finding.offset) object.emplace_back("offset", *finding.offset);
    if (finding.part) object.emplace_back("part", *finding.part);
    findings.emplace_back(std::move(object));
  }
  return Object{{"images", verification.images},
                {"blobs", verification.blobs},
                {"size", verification.bytes},
                {"findings", std::move(findings)}};
}

}  // namespace stowage::wim
