// libFuzzer target: a hostile WIM through every reader of native/wim/ that is ours: header, blob table, metadata,
// chunks, blobs, integrity table, the walk over a tree before libwim takes it, lists, the plan of an extraction, the
// mending of directories, the guard of pipes, and the verifier over them all. An Error is the right answer to almost
// any input; a crash, a hang or a runaway allocation is a finding. test/fuzz/run.sh builds and runs it.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <wimlib.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "wim/archive.h"
#include "wim/blob_reader.h"
#include "wim/containment.h"
#include "wim/directory_streams.h"
#include "wim/extraction_plan.h"
#include "wim/image_tree.h"
#include "wim/integrity_check.h"
#include "wim/link_target.h"
#include "wim/listing.h"
#include "wim/mending.h"
#include "wim/pipe_guard.h"
#include "wim/verifier.h"

using namespace stowage;

namespace {

// Enough to reach every path; more only makes a round slow.
constexpr uint64_t kMostBytesRead = 8u << 20;
constexpr uint32_t kMostImages = 4;

class Nobody : public wim::Observer {
 public:
  void Report(wim::Object) override {}
  void ReportCount(const std::string&, wim::Object) override {}
  std::optional<wim::Value> Ask(wim::Object) override { return std::nullopt; }
};

template <typename Read>
void Attempt(Read read) {
  try {
    read();
  } catch (const Error&) {
  }
}

void ReadBlobs(const wim::BlobTable& table) {
  std::vector<uint32_t> requests;
  uint64_t size = 0;
  for (uint32_t blob = 0; blob < table.blobs().size(); blob++) {
    size += table.blobs()[blob].size;
    if (size > kMostBytesRead) break;
    requests.push_back(blob);
  }
  // Backwards and with repeats, as no verifier asks.
  requests.insert(requests.end(), requests.rbegin(), requests.rend());
  WorkerPool pool(1);
  wim::BlobReader reader(table, requests, pool, 1u << 20);
  wim::BlobReader::Piece piece;
  while (reader.Next(&piece)) {
    if (piece.size > 0 && piece.data == nullptr) __builtin_trap();
  }
}

// Every image as text and as JSON, where both agree on how many files there are.
void List(const wim::Archive& archive, uint32_t image) {
  Nobody nobody;
  for (const wim::OddNames odd : {wim::OddNames::kLeft, wim::OddNames::kDropped}) {
    const wim::ListingScope scope = {{image}, "/", WIMLIB_ITERATE_DIR_TREE_FLAG_RECURSIVE};
    Attempt([&] { (void)wim::ListImages(archive, scope, odd, nobody); });
    Attempt([&] { (void)wim::ListImagesAsJson(archive, scope, odd, nobody); });
  }
}

// No name of a plan leads out of its directory.
void Plan(const wim::Archive& archive, uint32_t image) {
  const wim::ImageTree tree(archive.ReadMetadata(image), "image");
  if (tree.empty()) return;
  (void)tree.Match("*/?*", wim::ImageTree::Case::kInsensitive);
  for (const int flags : {0, WIMLIB_EXTRACT_FLAG_REPLACE_INVALID_FILENAMES | WIMLIB_EXTRACT_FLAG_UNIX_DATA}) {
    Attempt([&] {
      const wim::ExtractionPlan plan(archive, tree, {0}, flags);
      const auto check = [&](uint32_t node) {
        const std::string name = plan.NameOf(node);
        if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos ||
            name.find('\0') != std::string::npos)
          __builtin_trap();
      };
      for (const uint32_t node : plan.directories()) check(node);
      for (const auto& file : plan.files())
        for (const uint32_t node : file.names) check(node);
    });
  }
}

// What is mended once needs it no more.
void Mend(const std::string& path) {
  const File file(path, File::Mode::kRead);
  wim::Mending mending(file, {});
  if (!mending.needed()) return;
  mending.Prepare();
  if (mending.header().pipable) {
    mending.WritePipable([](const uint8_t*, size_t) {});
  } else {
    const uint64_t begin = mending.TailBegin(0);
    (void)mending.MakeTail(begin, begin);
  }
}

void MendMetadata(const std::vector<uint8_t>& metadata) {
  const auto mended = wim::MendDirectoryStreams(metadata);
  if (mended && wim::MendDirectoryStreams(*mended)) __builtin_trap();
}

void ReadLink(const uint8_t* data, size_t size) {
  for (const uint32_t tag : {wim::kTagSymbolicLink, wim::kTagMountPoint})
    (void)wim::LinkTarget(tag, {data, data + size}, std::string("/root"));
}

void ReadEverything(const std::string& path) {
  const auto archive = wim::Archive::Open({path});
  const wim::BlobTable& table = archive->blobs();
  for (uint32_t image = 1; image <= table.metadata().size() && image <= kMostImages; image++) {
    Attempt([&] { wim::CheckTree(*archive, image); });
    Attempt([&] {
      const wim::Metadata metadata = archive->ReadMetadata(image);
      for (const wim::Stream& stream : metadata.streams()) (void)table.Find(stream.hash);
    });
    Attempt([&] { List(*archive, image); });
    Attempt([&] { Plan(*archive, image); });
  }
  (void)wim::ListBlobs(table);
  Attempt([&] { Mend(path); });
  Attempt([&] { ReadBlobs(table); });
  uint64_t size = 0;
  for (const wim::Blob& blob : table.blobs()) size += blob.size > kMostBytesRead ? kMostBytesRead + 1 : blob.size;
  if (size > kMostBytesRead || table.metadata().size() > kMostImages) return;
  Nobody nobody;
  WorkerPool pool(1);
  Attempt([&] { wim::CheckIntegrity(path, pool, nobody, [](const std::string&, uint64_t) {}); });
  const wim::Verification found = wim::Verifier(archive, {1, true}, nobody).Run();
  if (found.blobs > table.blobs().size()) __builtin_trap();
}

// What is passed on is a beginning of what came.
void PassOn(int from) {
  static const int to = memfd_create("passed on", 0);
  if (lseek(from, 0, SEEK_SET) != 0 || ftruncate(to, 0) != 0 || lseek(to, 0, SEEK_SET) != 0) return;
  Attempt([&] { wim::PassWim(from, to, [] { return false; }); });
  uint8_t sent[4096], came[4096];
  for (off_t at = 0;; at += sizeof sent) {
    const ssize_t size = pread(to, sent, sizeof sent, at);
    if (size <= 0) return;
    if (pread(from, came, sizeof came, at) < size || memcmp(sent, came, static_cast<size_t>(size)) != 0)
      __builtin_trap();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const int fd = memfd_create("hostile.wim", 0);
  static const std::string path = "/proc/self/fd/" + std::to_string(fd);
  if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != static_cast<ssize_t>(size)) return 0;
  try {
    PassOn(fd);
    ReadEverything(path);
    // As what a WIM holds, too
    ReadLink(data, size);
    MendMetadata({data, data + size});
  } catch (const Error&) {
  } catch (const std::bad_alloc&) {
  }
  return 0;
}
