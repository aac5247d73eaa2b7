// libwim itself: started once, its error text caught, its objects owned.
#ifndef STOWAGE_WIM_LIBRARY_H_
#define STOWAGE_WIM_LIBRARY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>

#include "libwim.h"

namespace stowage::wim {

// Starts libwim for this process. Safe from any thread, any number of times.
void StartLibrary();
// libwim's WIMLIB_INIT_FLAG_*. Throws INVALID_ARGUMENT once libwim has been started.
void SetLibraryFlags(int flags);
// Whether they say that paths differ from names in case.
bool IgnoresCase();

// "WIMLIB_ERR_NOTDIR", and libwim's text for it.
const char* LibraryErrorName(int code);
std::string LibraryErrorText(int code);
// What libwim printed on this thread since the current call began.
std::string LibraryErrorDetails();

// Runs `call`, which returns one of libwim's codes; a code that is not 0 becomes an Error with libwim's own text.
// `doing` opens the message: "open base.wim".
template <typename Call>
void CheckLibrary(const std::string& doing, Call call);

struct ArchiveDeleter {
  void operator()(WIMStruct* archive) const { Libwim().free(archive); }
};
using ArchiveHandle = std::unique_ptr<WIMStruct, ArchiveDeleter>;

// Compressors of one thread, made when first needed: they are expensive and must not be shared between threads.
class Compressors {
 public:
  // Writes at most `size` - 1 bytes to `to`, and returns how many; 0 if the data does not get smaller, and then `from`
  // is unchanged. Otherwise `from` is overwritten.
  size_t Compress(int type, uint32_t chunk_size, unsigned level, void* from, size_t size, void* to);

 private:
  struct Deleter {
    void operator()(wimlib_compressor* compressor) const { Libwim().free_compressor(compressor); }
  };
  std::map<std::tuple<int, uint32_t, unsigned>, std::unique_ptr<wimlib_compressor, Deleter>> made_;
};

namespace internal {
void BeginErrorText();
[[noreturn]] void ThrowLibraryError(const std::string& doing, int code);
}  // namespace internal

template <typename Call>
void CheckLibrary(const std::string& doing, Call call) {
  StartLibrary();
  internal::BeginErrorText();
  const int code = call();
  if (code != 0) internal::ThrowLibraryError(doing, code);
}

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_LIBRARY_H_
