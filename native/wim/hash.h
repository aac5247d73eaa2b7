// SHA-1 (blobs of a WIM) and SHA-256 (everything OCI), from libcrypto.
#ifndef STOWAGE_WIM_HASH_H_
#define STOWAGE_WIM_HASH_H_

#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <string>

namespace wim {

using Sha1Hash = std::array<uint8_t, SHA_DIGEST_LENGTH>;
using Sha256Hash = std::array<uint8_t, SHA256_DIGEST_LENGTH>;

// The low-level calls, not EVP: they need no provider, no allocation and only their own objects of libcrypto.
class Sha1 {
 public:
  Sha1() { SHA1_Init(&context_); }
  void Update(const void* data, size_t size) { SHA1_Update(&context_, data, size); }
  // Gives the hash and starts afresh.
  Sha1Hash Finish() {
    Sha1Hash hash;
    SHA1_Final(hash.data(), &context_);
    SHA1_Init(&context_);
    return hash;
  }

 private:
  SHA_CTX context_;
};

class Sha256 {
 public:
  Sha256() { SHA256_Init(&context_); }
  void Update(const void* data, size_t size) { SHA256_Update(&context_, data, size); }
  Sha256Hash Finish() {
    Sha256Hash hash;
    SHA256_Final(hash.data(), &context_);
    SHA256_Init(&context_);
    return hash;
  }

 private:
  SHA256_CTX context_;
};

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

// SHA-1 is uniform already: its first bytes are a hash table's hash.
struct Sha1Hasher {
  size_t operator()(const Sha1Hash& hash) const {
    size_t value;
    std::memcpy(&value, hash.data(), sizeof value);
    return value;
  }
};

}  // namespace wim

#endif  // STOWAGE_WIM_HASH_H_
