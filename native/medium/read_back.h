// Reads back what was written, from the medium, and compares it with what is known of it.
#ifndef STOWAGE_MEDIUM_READ_BACK_H_
#define STOWAGE_MEDIUM_READ_BACK_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "../base/hash.h"

namespace stowage::medium {

struct Region {
  uint32_t file;
  uint64_t offset;
  uint64_t size;
  Sha256Hash expected;
};

struct ReadBackPlan {
  std::vector<std::string> paths;
  // Those of a file follow one another, in ascending order.
  std::vector<Region> regions;
};

// The first region that is not what was written.
struct Difference {
  size_t region;
  // Less than its size if the file ends before; then there is no hash.
  uint64_t read;
  Sha256Hash found;
};

struct ReadBackResult {
  std::optional<Difference> difference;
  // Whether some of it may have come from the page cache.
  bool cached = false;
};

class ReadBack {
 public:
  struct Observer {
    // On the thread that runs: the number of the file that is read from now on.
    std::function<void(uint32_t)> file;
    // The bytes that were read since it was last called.
    std::function<void(uint64_t)> progress;
  };

  ReadBack(ReadBackPlan plan, Observer observer);

  // Throws ABORTED soon after Cancel(), and the errno's Error.
  ReadBackResult Run();
  void Cancel() { cancelled_ = true; }
  void Finish() {}

 private:
  const ReadBackPlan plan_;
  const Observer observer_;
  std::atomic<bool> cancelled_{false};
};

}  // namespace stowage::medium

#endif  // STOWAGE_MEDIUM_READ_BACK_H_
