// Our codecs beside libwim's, on chunks from all over a WIM: codecs decompress|compress WIM [ROUNDS [MIB]]. Prints for
// each round the seconds of processor time of both. Before that: the megabytes that both made of MIB of chunks, or
// took; for `compress`, which is of XPRESS at the normal level whatever the WIM has, also the bytes that each made.
// bench/codecs.mjs builds and runs it.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

#include "base/error.h"
#include "codecs/codec.h"
#include "wim/archive.h"
#include "wim/compressors.h"
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

// Every so many chunks, so that the sample is of the whole WIM; those that are stored uncompressed only with `stored`.
std::vector<Sample> Samples(const wim::BlobTable& table, size_t most, bool stored, std::vector<uint8_t>* bytes) {
  uint64_t all = 0;
  for (const wim::Resource& resource : table.resources()) all += resource.size_in_wim;
  const size_t step = static_cast<size_t>(all / most) + 1;
  std::vector<Sample> samples;
  size_t number = 0;
  for (const wim::Resource& resource : table.resources()) {
    if (resource.compression == WIMLIB_COMPRESSION_TYPE_NONE) continue;
    for (const wim::Chunk& chunk : wim::ReadChunks(resource)) {
      if ((chunk.size_in_wim == chunk.size && !stored) || number++ % step != 0) continue;
      const size_t at = bytes->size();
      bytes->resize(at + chunk.size_in_wim);
      resource.file->Read(bytes->data() + at, chunk.size_in_wim, chunk.offset);
      samples.push_back({resource.compression, resource.chunk_size, at, chunk.size_in_wim, chunk.size});
    }
  }
  return samples;
}

// Runs one after the other as often as `rounds` says.
template <typename Ours, typename Theirs>
void Alternate(int rounds, Ours ours, Theirs theirs) {
  for (int round = 0; round < rounds; round++) {
    const double start = ProcessorSeconds();
    ours();
    const double middle = ProcessorSeconds();
    theirs();
    const double end = ProcessorSeconds();
    std::printf("%.4f %.4f\n", middle - start, end - middle);
  }
}

void Unpack(wim::Decompressors& by, const Sample& sample, const std::vector<uint8_t>& bytes, uint8_t* to) {
  if (sample.from_size == sample.to_size) {
    std::memcpy(to, bytes.data() + sample.from, sample.to_size);
    return;
  }
  by.Decompress(sample.compression, sample.chunk_size, bytes.data() + sample.from, sample.from_size, to, sample.to_size,
                "a chunk");
}

void BenchDecompressors(const std::vector<Sample>& samples, const std::vector<uint8_t>& bytes, int rounds) {
  size_t largest = 0, size = 0;
  for (const Sample& sample : samples) {
    largest = std::max(largest, sample.to_size);
    size += sample.to_size;
  }
  std::vector<uint8_t> to(largest), other(largest);
  wim::Decompressors ours(wim::Whose::kOurs), theirs(wim::Whose::kLibrary);
  for (const Sample& sample : samples) {
    Unpack(ours, sample, bytes, to.data());
    Unpack(theirs, sample, bytes, other.data());
    if (std::memcmp(to.data(), other.data(), sample.to_size) != 0) Fail("the two differ");
  }
  std::printf("%.1f\n", static_cast<double>(size) / 1e6);
  const auto all = [&](wim::Decompressors& by) {
    for (const Sample& sample : samples) Unpack(by, sample, bytes, to.data());
  };
  Alternate(rounds, [&] { all(ours); }, [&] { all(theirs); });
}

void BenchCompressors(const std::vector<Sample>& samples, const std::vector<uint8_t>& bytes, int rounds) {
  constexpr uint32_t kChunkSize = 32768;
  constexpr unsigned kLevel = 50;
  std::vector<std::vector<uint8_t>> chunks;
  wim::Decompressors decompressors;
  size_t size = 0;
  for (const Sample& sample : samples) {
    if (sample.to_size > kChunkSize) continue;
    chunks.emplace_back(sample.to_size);
    Unpack(decompressors, sample, bytes, chunks.back().data());
    size += sample.to_size;
  }
  std::vector<uint8_t> from(kChunkSize), to(kChunkSize), back(kChunkSize);
  wim::Compressors ours(wim::Whose::kOurs), theirs(wim::Whose::kLibrary);
  wim::Decompressors judge(wim::Whose::kLibrary);
  // A copy, because libwim overwrites what it compresses
  const auto pack = [&](wim::Compressors& by, const std::vector<uint8_t>& chunk) {
    std::memcpy(from.data(), chunk.data(), chunk.size());
    return by.Compress(codecs::kXpress, kChunkSize, kLevel, from.data(), chunk.size(), to.data());
  };
  const auto all = [&](wim::Compressors& by) {
    size_t packed = 0;
    for (const std::vector<uint8_t>& chunk : chunks) {
      const size_t made = pack(by, chunk);
      packed += made == 0 ? chunk.size() : made;
    }
    return packed;
  };
  for (const std::vector<uint8_t>& chunk : chunks) {
    const size_t made = pack(ours, chunk);
    if (made == 0) continue;
    judge.Decompress(codecs::kXpress, kChunkSize, to.data(), made, back.data(), chunk.size(), "a chunk");
    if (std::memcmp(back.data(), chunk.data(), chunk.size()) != 0) Fail("what we compressed is something else");
  }
  std::printf("%.1f %zu %zu\n", static_cast<double>(size) / 1e6, all(ours), all(theirs));
  Alternate(rounds, [&] { all(ours); }, [&] { all(theirs); });
}

}  // namespace

int main(int count, char** words) {
  if (count < 3) Fail("decompress or compress, and which WIM?");
  const bool compress = std::strcmp(words[1], "compress") == 0;
  const int rounds = count > 3 ? std::atoi(words[3]) : 5;
  const size_t most = (count > 4 ? static_cast<size_t>(std::atoi(words[4])) : 64) << 20;
  try {
    const auto archive = wim::Archive::Open({words[2]});
    std::vector<uint8_t> bytes;
    const std::vector<Sample> samples = Samples(archive->blobs(), most, compress, &bytes);
    if (samples.empty()) Fail("nothing is compressed there");
    (compress ? BenchCompressors : BenchDecompressors)(samples, bytes, rounds);
  } catch (const Error& error) {
    Fail(error.what());
  }
  return 0;
}
