// libFuzzer target: a hostile layer through LayerInput and TarReader, as it came and as the tar itself. An Error is the
// right answer to almost any input; a crash, a hang or a runaway allocation is a finding. test/fuzz/run.sh builds and
// runs it.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "base/error.h"
#include "layer/layer_input.h"
#include "layer/tar_reader.h"

using namespace stowage;

namespace {

// Enough to reach every path; more only makes a round slow.
constexpr uint64_t kMostBytesRead = 16u << 20;

// The input itself, in pieces whose size changes, so that every boundary falls everywhere.
class Pieces : public ByteSource {
 public:
  Pieces(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  size_t Read(const uint8_t** data) override {
    const size_t part = std::min<size_t>(size_, 1 + (turn_++ * 397) % 1500);
    *data = data_;
    data_ += part;
    size_ -= part;
    return part;
  }

 private:
  const uint8_t* data_;
  size_t size_;
  size_t turn_ = 0;
};

void ReadTar(ByteSource& source) {
  layer::TarReader reader(source, "hostile");
  layer::TarEntry entry;
  uint64_t read = 0;
  uint64_t entries = 0;
  uint8_t seen = 0;
  while (reader.Next(&entry)) {
    if (entry.type < '0' || entry.type > '6') __builtin_trap();
    if (entry.path.find('\0') != std::string::npos || entry.linkname.find('\0') != std::string::npos) __builtin_trap();
    for (const auto& [key, value] : entry.records) {
      if (key.empty() || entry.Record(key) == nullptr || *entry.Record(key) != value) __builtin_trap();
    }
    const uint8_t* data;
    size_t size;
    uint64_t content = 0;
    // Every other content is left to be skipped.
    while (entries % 2 == 0 && reader.Read(&data, &size)) {
      if (size == 0) __builtin_trap();
      content += size;
      read += size;
      seen = static_cast<uint8_t>(seen ^ data[0] ^ data[size - 1]);
      if (read > kMostBytesRead) return;
    }
    if (entries++ % 2 == 0 && content != entry.size) __builtin_trap();
  }
  if (reader.Next(&entry)) __builtin_trap();
  static volatile uint8_t sink;
  sink = seen;
}

// The same with right checksums, which a fuzzer does not find by itself.
std::vector<uint8_t> Summed(const uint8_t* data, size_t size) {
  std::vector<uint8_t> tar(data, data + size);
  for (size_t at = 0; at + 512 <= size; at += 512) {
    uint8_t* header = tar.data() + at;
    if (header[257] != 'u' || header[258] != 's') continue;
    memset(header + 148, ' ', 8);
    unsigned sum = 0;
    for (size_t i = 0; i < 512; i++) sum += header[i];
    for (int i = 5; i >= 0; i--, sum >>= 3) header[148 + i] = static_cast<uint8_t>('0' + (sum & 7));
  }
  return tar;
}

template <typename Work>
void Attempt(Work work) {
  try {
    work();
  } catch (const Error&) {
  } catch (const std::bad_alloc&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Attempt([&] {
    Pieces pieces(data, size);
    ReadTar(pieces);
  });
  Attempt([&] {
    const std::vector<uint8_t> summed = Summed(data, size);
    Pieces pieces(summed.data(), size);
    ReadTar(pieces);
  });
  Attempt([&] {
    const auto queue = std::make_shared<ByteQueue>([] {});
    for (size_t at = 0, part = 1; at < size; at += part, part = part % 700 + 97) {
      part = std::min(part, size - at);
      queue->Push(std::vector<uint8_t>(data + at, data + at + part));
    }
    queue->Finish();
    layer::LayerInput input(queue, "hostile");
    ReadTar(input);
    if (input.facts().size != size) __builtin_trap();
  });
  return 0;
}
