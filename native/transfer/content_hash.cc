#include "content_hash.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "../base/error.h"
#include "sha256_lane.h"
#include "source_file.h"

namespace stowage::transfer {

namespace {

constexpr size_t kPiece = 1u << 20;
// Between two reports of progress.
constexpr uint64_t kStep = 16u << 20;

}  // namespace

ContentHash::ContentHash(Content content, Observer observer)
    : content_(std::move(content)), observer_(std::move(observer)) {}

Hashed ContentHash::Run() {
  Hashed hashed;
  // While one is hashed, the other is read
  std::array<std::vector<uint8_t>, 2> memory;
  uint64_t total = 0;
  for (const Range& range : content_.ranges) total += range.size;
  for (auto& half : memory) half.resize(static_cast<size_t>(std::min<uint64_t>(kPiece, total)));
  Sha256Lane lane;  // is done with the memory before that goes
  std::optional<PlainHash> plain;
  if (content_.plain) plain.emplace();
  // To decompress takes so long that another lane has had its turn
  const auto patience = plain ? std::chrono::microseconds(0) : Sha256Lane::kPatience;
  size_t half = 0;
  uint64_t news = 0;
  bool whole = true;
  for (uint32_t number = 0; number < content_.ranges.size() && whole; number++) {
    const Range& range = content_.ranges[number];
    observer_.range(number);
    const SourceFile file(range.path);
    for (uint64_t done = 0; done < range.size && whole;) {
      if (cancelled_) throw Error("ABORTED", "interrupted before the end");
      uint8_t* const piece = memory[half].data();
      const auto wanted = static_cast<size_t>(std::min<uint64_t>(kPiece, range.size - done));
      const size_t size = file.Read(piece, wanted, range.offset + done);
      whole = size == wanted;
      lane.Await(patience);
      lane.Offer(piece, size);
      if (plain) plain->Add(piece, size);
      half = 1 - half;
      done += size;
      hashed.read += size;
      news += size;
      if (news >= kStep) observer_.progress(std::exchange(news, 0));
    }
  }
  lane.Await();
  hashed.digest = lane.Finish();
  if (plain) hashed.plain = plain->Finish();
  return hashed;
}

}  // namespace stowage::transfer
