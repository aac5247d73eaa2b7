// SHA-256 of content that stands in files, and of the tar in it.
#ifndef STOWAGE_TRANSFER_CONTENT_HASH_H_
#define STOWAGE_TRANSFER_CONTENT_HASH_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "../base/hash.h"
#include "plain_hash.h"

namespace stowage::transfer {

// A part of the content.
struct Range {
  std::string path;
  uint64_t offset = 0;
  uint64_t size = 0;
};

struct Content {
  std::vector<Range> ranges;
  // Whether it is a layer, which is decompressed to hash the tar in it.
  bool plain = false;
};

struct Hashed {
  Sha256Hash digest{};
  // Less than the size of the ranges if a file ends early.
  uint64_t read = 0;
  std::optional<Plain> plain;
};

class ContentHash {
 public:
  struct Observer {
    // On the thread that runs: the number of the range that is read from now on.
    std::function<void(uint32_t)> range;
    // The bytes that were read since it was last called.
    std::function<void(uint64_t)> progress;
  };

  ContentHash(Content content, Observer observer);

  // Throws ABORTED soon after Cancel(), and the errno's Error.
  Hashed Run();
  void Cancel() { cancelled_ = true; }
  void Finish() {}

 private:
  const Content content_;
  const Observer observer_;
  std::atomic<bool> cancelled_{false};
};

}  // namespace stowage::transfer

#endif  // STOWAGE_TRANSFER_CONTENT_HASH_H_
