// The hashes of hash.h from libcrypto.
#ifndef STOWAGE_BASE_OPENSSL_HASH_H_
#define STOWAGE_BASE_OPENSSL_HASH_H_

#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/md5.h>
#include <openssl/sha.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace stowage {

// The low-level calls, not EVP: they need no provider, no allocation and only their own objects of libcrypto.
template <size_t kSize, typename Context, int (*Init)(Context*), int (*Add)(Context*, const void*, size_t),
          int (*Final)(unsigned char*, Context*)>
class Hasher {
 public:
  Hasher() { Init(&context_); }
  void Update(const void* data, size_t size) { Add(&context_, data, size); }
  // Returns the hash and starts again.
  std::array<uint8_t, kSize> Finish() {
    std::array<uint8_t, kSize> hash;
    Final(hash.data(), &context_);
    Init(&context_);
    return hash;
  }

 private:
  Context context_;
};

using Md5 = Hasher<MD5_DIGEST_LENGTH, MD5_CTX, MD5_Init, MD5_Update, MD5_Final>;
using Sha1 = Hasher<SHA_DIGEST_LENGTH, SHA_CTX, SHA1_Init, SHA1_Update, SHA1_Final>;
using Sha256 = Hasher<SHA256_DIGEST_LENGTH, SHA256_CTX, SHA256_Init, SHA256_Update, SHA256_Final>;

}  // namespace stowage

#endif  // STOWAGE_BASE_OPENSSL_HASH_H_
