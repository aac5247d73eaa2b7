// The hashes of hash.h from Windows' own library, CNG.
#ifndef STOWAGE_BASE_WINDOWS_HASH_H_
#define STOWAGE_BASE_WINDOWS_HASH_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace stowage {

// One hash that is being made. It starts again when it is finished.
class WindowsHash {
 public:
  enum class Algorithm { kMd5, kSha1, kSha256 };

  explicit WindowsHash(Algorithm algorithm);
  void Update(const void* data, size_t size);
  void Finish(uint8_t* to, size_t size);

 private:
  struct Destroy {
    void operator()(void* handle) const;
  };
  std::unique_ptr<void, Destroy> handle_;
};

template <size_t kSize, WindowsHash::Algorithm kAlgorithm>
class Hasher {
 public:
  void Update(const void* data, size_t size) { hash_.Update(data, size); }
  // Returns the hash and starts again.
  std::array<uint8_t, kSize> Finish() {
    std::array<uint8_t, kSize> hash;
    hash_.Finish(hash.data(), hash.size());
    return hash;
  }

 private:
  WindowsHash hash_{kAlgorithm};
};

using Md5 = Hasher<16, WindowsHash::Algorithm::kMd5>;
using Sha1 = Hasher<20, WindowsHash::Algorithm::kSha1>;
using Sha256 = Hasher<32, WindowsHash::Algorithm::kSha256>;

}  // namespace stowage

#endif  // STOWAGE_BASE_WINDOWS_HASH_H_
