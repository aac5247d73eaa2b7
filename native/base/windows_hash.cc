#ifdef _WIN32
#include "windows_hash.h"

// clang-format off
#include <windows.h>  // first: the other one needs it
#include <bcrypt.h>
// clang-format on

#include <algorithm>
#include <string>

#include "error.h"

namespace stowage {

namespace {

constexpr size_t kLargest = 1u << 30;  // of one call, which takes 32 bits

void Check(NTSTATUS status, const char* doing) {
  if (status < 0)
    throw Error("EOTHER", std::string(doing) + ": NTSTATUS " + std::to_string(static_cast<uint32_t>(status)));
}

BCRYPT_ALG_HANDLE Open(const wchar_t* name) {
  BCRYPT_ALG_HANDLE handle = nullptr;
  Check(BCryptOpenAlgorithmProvider(&handle, name, nullptr, BCRYPT_HASH_REUSABLE_FLAG), "open a hash algorithm");
  return handle;
}

// Never closed: exit() may run while threads still use them.
BCRYPT_ALG_HANDLE Provider(WindowsHash::Algorithm algorithm) {
  static const BCRYPT_ALG_HANDLE kMd5 = Open(BCRYPT_MD5_ALGORITHM);
  static const BCRYPT_ALG_HANDLE kSha1 = Open(BCRYPT_SHA1_ALGORITHM);
  static const BCRYPT_ALG_HANDLE kSha256 = Open(BCRYPT_SHA256_ALGORITHM);
  switch (algorithm) {
    case WindowsHash::Algorithm::kMd5: return kMd5;
    case WindowsHash::Algorithm::kSha1: return kSha1;
    default: return kSha256;
  }
}

}  // namespace

WindowsHash::WindowsHash(Algorithm algorithm) {
  BCRYPT_HASH_HANDLE handle = nullptr;
  Check(BCryptCreateHash(Provider(algorithm), &handle, nullptr, 0, nullptr, 0, BCRYPT_HASH_REUSABLE_FLAG),
        "begin a hash");
  handle_.reset(handle);
}

void WindowsHash::Update(const void* data, size_t size) {
  const auto* at = static_cast<const uint8_t*>(data);
  while (size > 0) {
    const size_t part = std::min(size, kLargest);
    Check(BCryptHashData(handle_.get(), const_cast<uint8_t*>(at), static_cast<ULONG>(part), 0), "hash");
    at += part;
    size -= part;
  }
}

void WindowsHash::Finish(uint8_t* to, size_t size) {
  Check(BCryptFinishHash(handle_.get(), to, static_cast<ULONG>(size), 0), "finish a hash");
}

void WindowsHash::Destroy::operator()(void* handle) const { BCryptDestroyHash(handle); }

}  // namespace stowage
#endif
