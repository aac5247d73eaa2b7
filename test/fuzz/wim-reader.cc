// libFuzzer target: a hostile WIM through every reader of native/wim/ that is ours: header, blob table, metadata, chunks,
// blobs. An Error is the right answer to almost any input; a crash, a hang or a runaway allocation is a finding.
// test/fuzz/run.sh builds and runs it.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "wim/blob_reader.h"
#include "wim/blob_table.h"
#include "wim/error.h"
#include "wim/file.h"
#include "wim/header.h"
#include "wim/metadata.h"

namespace {

// Enough to reach every path; more only makes a round slow.
constexpr uint64_t kMostBytesRead = 8u << 20;

void ReadEverything(const std::string& path) {
  auto file = std::make_unique<wim::File>(path, wim::File::Mode::kRead);
  const wim::Header header = wim::Header::From(*file);
  wim::BlobTable table;
  table.Add(std::move(file), header);
  for (uint32_t image = 0; image < table.metadata().size() && image < 4; image++) {
    try {
      const wim::Metadata metadata(table, image, path);
      for (const wim::Stream& stream : metadata.streams()) (void)table.Find(stream.hash);
    } catch (const wim::Error&) {
    }
  }
  std::vector<uint32_t> requests;
  uint64_t size = 0;
  for (uint32_t blob = 0; blob < table.blobs().size(); blob++) {
    size += table.blobs()[blob].size;
    if (size > kMostBytesRead) break;
    requests.push_back(blob);
  }
  wim::WorkerPool pool(1);
  wim::BlobReader reader(table, requests, pool, 1u << 20);
  wim::BlobReader::Piece piece;
  while (reader.Next(&piece)) {
    if (piece.size > 0 && piece.data == nullptr) __builtin_trap();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const int fd = memfd_create("hostile.wim", 0);
  static const std::string path = "/proc/self/fd/" + std::to_string(fd);
  if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != static_cast<ssize_t>(size)) return 0;
  try {
    ReadEverything(path);
  } catch (const wim::Error&) {
  } catch (const std::bad_alloc&) {
  }
  return 0;
}
