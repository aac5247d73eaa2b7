// SHA-256 of the tar in a blob, while the blob passes: what an image's config calls the diffID of a layer.
#ifndef STOWAGE_TRANSFER_PLAIN_HASH_H_
#define STOWAGE_TRANSFER_PLAIN_HASH_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../base/decoder.h"
#include "../base/error.h"
#include "../base/hash.h"
#include "sha256_lane.h"

namespace stowage::transfer {

// What is known of the tar in a blob. Without `diff_id` and `failure`, the blob is not compressed, and is the tar.
struct Plain {
  std::optional<Sha256Hash> diff_id;
  // LAYER_CORRUPT, or UNSUPPORTED if it is not followed to its end.
  std::optional<Error> failure;
};

class PlainHash : private Decoder::Sink {
 public:
  // The bytes of the blob in their order.
  void Add(const uint8_t* bytes, size_t size);
  Plain Finish();

 private:
  void Begin();
  void Decode(const uint8_t* bytes, size_t size);
  void Deliver(Block* block) override;
  Error Damage(const std::string& why, uint64_t offset) const override;
  const std::string& where() const override { return where_; }

  const std::string where_ = "the layer";
  bool begun_ = false;
  // The first bytes, until there are enough to tell the compression.
  std::vector<uint8_t> head_;
  std::unique_ptr<Decoder> decoder_;
  uint64_t size_ = 0;
  uint64_t plain_size_ = 0;
  // Is hashed while the next block is decompressed.
  Block block_;
  std::shared_ptr<HashThread> thread_;
  Sha256Lane hash_;
  std::optional<Error> failure_;
};

}  // namespace stowage::transfer

#endif  // STOWAGE_TRANSFER_PLAIN_HASH_H_
