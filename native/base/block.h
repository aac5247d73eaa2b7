// Memory that is filled, handed over, and filled again.
#ifndef STOWAGE_BASE_BLOCK_H_
#define STOWAGE_BASE_BLOCK_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace stowage {

// Bytes within `memory`, which may be larger.
struct Block {
  std::vector<uint8_t> memory;
  size_t begin = 0;
  size_t end = 0;

  const uint8_t* data() const { return memory.data() + begin; }
  size_t size() const { return end - begin; }
};

}  // namespace stowage

#endif  // STOWAGE_BASE_BLOCK_H_
