// Our decompressors beside libwim's, on chunks from all over a WIM: codecs WIM [ROUNDS [MIB]]. Prints for each round
// the seconds of processor time of both, after the megabytes that both made of MIB of chunks; bench/codecs.mjs builds
// and runs it.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

#include "base/error.h"
#include "wim/archive.h"
#include "wim/decompressors.h"

using namespace stowage;

namespace {

struct Sample {
  int compression;
  uint32_t chunk_size;
  size_t from;
  size_t from_size;
  size_t to_size;
};

double ProcessorSeconds() {
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

[[noreturn]] void Fail(const char* what) {
  std::fprintf(stderr, "bench: %s\n", what);
  std::exit(1);
}

// Every so many chunks, so that the sample is of the whole WIM.
std::vector<Sample> Samples(const wim::BlobTable& table, size_t most, std::vector<uint8_t>* bytes) {
  uint64_t all = 0;
  for (const wim::Resource& resource : table.resources()) all += resource.size_in_wim;
  const size_t step = static_cast<size_t>(all / most) + 1;
  std::vector<Sample> samples;
  size_t number = 0;
  for (const wim::Resource& resource : table.resources()) {
    if (resource.compression == WIMLIB_COMPRESSION_TYPE_NONE) continue;
    for (const wim::Chunk& chunk : wim::ReadChunks(resource)) {
      if (chunk.size_in_wim == chunk.size || number++ % step != 0) continue;
      const size_t at = bytes->size();
      bytes->resize(at + chunk.size_in_wim);
      resource.file->Read(bytes->data() + at, chunk.size_in_wim, chunk.offset);
      samples.push_back({resource.compression, resource.chunk_size, at, chunk.size_in_wim, chunk.size});
    }
  }
  return samples;
}

}  // namespace

int main(int count, char** words) {
  if (count < 2) Fail("which WIM?");
  const int rounds = count > 2 ? std::atoi(words[2]) : 5;
  const size_t most = (count > 3 ? static_cast<size_t>(std::atoi(words[3])) : 64) << 20;
  try {
    const auto archive = wim::Archive::Open({words[1]});
    std::vector<uint8_t> bytes;
    const std::vector<Sample> samples = Samples(archive->blobs(), most, &bytes);
    if (samples.empty()) Fail("nothing is compressed there");
    size_t largest = 0, size = 0;
    for (const Sample& sample : samples) {
      largest = std::max(largest, sample.to_size);
      size += sample.to_size;
    }
    std::vector<uint8_t> to(largest), other(largest);
    wim::Decompressors ours(wim::Decompressors::Whose::kOurs), theirs(wim::Decompressors::Whose::kLibrary);
    const auto unpack = [&bytes](wim::Decompressors& by, const Sample& sample, uint8_t* into) {
      by.Decompress(sample.compression, sample.chunk_size, bytes.data() + sample.from, sample.from_size, into,
                    sample.to_size, "a chunk");
    };
    for (const Sample& sample : samples) {
      unpack(ours, sample, to.data());
      unpack(theirs, sample, other.data());
      if (std::memcmp(to.data(), other.data(), sample.to_size) != 0) Fail("the two differ");
    }
    std::printf("%.1f\n", static_cast<double>(size) / 1e6);
    for (int round = 0; round < rounds; round++) {
      const double start = ProcessorSeconds();
      for (const Sample& sample : samples) unpack(ours, sample, to.data());
      const double middle = ProcessorSeconds();
      for (const Sample& sample : samples) unpack(theirs, sample, to.data());
      const double end = ProcessorSeconds();
      std::printf("%.4f %.4f\n", middle - start, end - middle);
    }
  } catch (const Error& error) {
    Fail(error.what());
  }
  return 0;
}
