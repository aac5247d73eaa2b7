// Checks a whole WIM with our own readers and reports everything that is wrong with it, not just the first error.
#ifndef STOWAGE_WIM_VERIFIER_H_
#define STOWAGE_WIM_VERIFIER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "../base/worker_pool.h"
#include "archive.h"
#include "observer.h"
#include "value.h"

namespace stowage::wim {

struct Finding {
  // "metadata", "blob", "missing-blob" or "integrity".
  const char* type;
  std::string message;
  std::optional<Sha1Hash> sha1;
  // 1-based; 0: none, or several.
  uint32_t image = 0;
  // The first few names of files that use the blob, in WTF-8, and how many there are.
  std::vector<std::string> paths;
  uint64_t uses = 0;
  // Offset of the damaged resource or chunk in its file.
  std::optional<uint64_t> offset;
  // From 1.
  std::optional<uint32_t> part;
};

struct Verification {
  uint32_t images = 0;
  uint64_t blobs = 0;
  uint64_t bytes = 0;
  std::vector<Finding> findings;
};

class Verifier {
 public:
  struct Options {
    unsigned threads = 1;
    // Check the files against their integrity tables, if they have any.
    bool integrity = true;
  };

  // Reports `verify-integrity`, `verify-image-begin`, `verify-image-end` and `verify-streams` to the observer.
  Verifier(std::shared_ptr<const Archive> archive, Options options, Observer& observer);

  // Once. Throws ABORTED when the observer is cancelled, as soon as the current chunks are decompressed, or an error
  // that is not about the WIM, such as a lack of memory.
  Verification Run();

 private:
  struct Users;
  using UsersOf = std::unordered_map<Sha1Hash, Users, Sha1Hasher>;

  // How a resource lies relative to the one before it.
  enum class Standing { kApart, kRepeats, kOverlaps };

  void CheckImages();
  std::vector<Standing> StandingsOf(const std::vector<Blob>& metadata) const;
  void CheckImage(uint32_t image, UsersOf& missing);
  void CheckBlobs();
  std::vector<uint32_t> BlobsInFileOrder();
  // Names the files of every damaged blob. Reads the metadata again: that of all images at once may be too much to
  // keep.
  void NameFiles();
  // Counts dentry `index` of `metadata` among the users of a blob.
  void AddUser(Users& users, const Metadata& metadata, uint32_t index, uint32_t image);
  Finding& Report(const char* type, const std::string& message);
  void ReportBlob(const Blob& blob, const std::string& message);
  void StopIfCancelled() const;

  const std::shared_ptr<const Archive> archive_;
  const Options options_;
  Observer& observer_;
  WorkerPool pool_;
  Verification result_;
  // Images whose metadata can be read, 1-based.
  std::vector<uint32_t> readable_;
  // Characters of all paths in the findings.
  uint64_t path_length_ = 0;
};

// The operation `verify`: arguments `wim`, `threads` and `integrity`; returns a Verification, in whose findings empty
// members are left out.
Value Verify(const Arguments& arguments, Observer& observer);

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_VERIFIER_H_
