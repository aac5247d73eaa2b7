// SHA-1 (blobs of a WIM) and SHA-256 (everything OCI), from libcrypto.
#ifndef STOWAGE_BASE_HASH_H_
#define STOWAGE_BASE_HASH_H_

#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>

namespace stowage {

using Sha1Hash = std::array<uint8_t, SHA_DIGEST_LENGTH>;
using Sha256Hash = std::array<uint8_t, SHA256_DIGEST_LENGTH>;

// The low-level calls, not EVP: they need no provider, no allocation and only their own objects of libcrypto.
template <typename Hash, typename Context, int (*Init)(Context*), int (*Add)(Context*, const void*, size_t),
          int (*Final)(unsigned char*, Context*)>
class Hasher {
 public:
  Hasher() { Init(&context_); }
  void Update(const void* data, size_t size) { Add(&context_, data, size); }
  // Returns the hash and starts again.
  Hash Finish() {
    Hash hash;
    Final(hash.data(), &context_);
    Init(&context_);
    return hash;
  }

 private:
  Context context_;
};

using Sha1 = Hasher<Sha1Hash, SHA_CTX, SHA1_Init, SHA1_Update, SHA1_Final>;
using Sha256 = Hasher<Sha256Hash, SHA256_CTX, SHA256_Init, SHA256_Update, SHA256_Final>;

template <size_t N>
std::string Hex(const std::array<uint8_t, N>& hash) {
  static const char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * N);
  for (const uint8_t byte : hash) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

// The hash a WIM gives to an empty stream.
inline bool IsZero(const Sha1Hash& hash) {
  for (const uint8_t byte : hash) {
    if (byte != 0) return false;
  }
  return true;
}

// SHA-1 is uniform already: its first bytes are a hash table's hash.
struct Sha1Hasher {
  // The author of a WIM chooses the hashes in it, and must not be able to choose how they are distributed here.
  size_t operator()(const Sha1Hash& hash) const {
    static const std::array<uint64_t, 3> kSecret = Secret();
    uint64_t words[2];
    uint32_t last;
    std::memcpy(words, hash.data(), sizeof words);
    std::memcpy(&last, hash.data() + sizeof words, sizeof last);
    const uint64_t mixed = (words[0] ^ kSecret[0]) * kSecret[1] + (words[1] + last) * kSecret[2];
    return static_cast<size_t>(mixed ^ mixed >> 32);
  }

 private:
  static std::array<uint64_t, 3> Secret() {
    std::random_device device;
    std::array<uint64_t, 3> secret;
    for (uint64_t& word : secret) word = (static_cast<uint64_t>(device()) << 32 | device()) | 1;
    return secret;
  }
};

}  // namespace stowage

#endif  // STOWAGE_BASE_HASH_H_
