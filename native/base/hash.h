// SHA-1 (blobs of a WIM), SHA-256 (everything OCI) and MD5 (recovery data).
#ifndef STOWAGE_BASE_HASH_H_
#define STOWAGE_BASE_HASH_H_

#include <array>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>

#ifdef _WIN32
#include "windows_hash.h"
#else
#include "openssl_hash.h"
#endif

namespace stowage {

using Sha1Hash = std::array<uint8_t, 20>;
using Sha256Hash = std::array<uint8_t, 32>;

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
