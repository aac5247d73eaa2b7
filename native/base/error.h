// The error that native/ throws: a code for programs, a message, and libwim's own text if there is any.
#ifndef STOWAGE_BASE_ERROR_H_
#define STOWAGE_BASE_ERROR_H_

#include <stdexcept>
#include <string>
#include <utility>

namespace stowage {

// `code` is NOT_A_WIM, WIM_CORRUPT, WIM_PART_MISSING, NOT_A_LAYER, LAYER_CORRUPT, UNSUPPORTED, INVALID_ARGUMENT or
// ABORTED; WIMLIB_ERR_* for an error of libwim; or the name of an errno (ENOENT, ENOSPC, ...).
class Error : public std::runtime_error {
 public:
  Error(std::string code, const std::string& message, std::string details = {})
      : std::runtime_error(message), code_(std::move(code)), details_(std::move(details)) {}

  const std::string& code() const { return code_; }
  // Everything libwim printed about it, in one line; empty for our own errors.
  const std::string& details() const { return details_; }
  // The file that was being written, for an error of writing; otherwise empty.
  const std::string& written() const { return written_; }
  // For an error of libwim: the name of the errno that caused it (ENOSPC, ...), if known; otherwise empty.
  const std::string& cause() const { return cause_; }
  Error&& From(const std::string& cause) && {
    cause_ = cause;
    return std::move(*this);
  }
  Error&& WhileWriting(const std::string& path) && {
    written_ = path;
    return std::move(*this);
  }

 private:
  std::string code_;
  std::string details_;
  std::string written_;
  std::string cause_;
};

// "ENOSPC"; "EOTHER" for numbers that need no name.
const char* SystemErrorName(int number);
// An error of the operating system: "ENOSPC" and "write x.tar.gz: No space left on device".
Error SystemError(int number, const std::string& doing);

}  // namespace stowage

#endif  // STOWAGE_BASE_ERROR_H_
