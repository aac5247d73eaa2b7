#include "source_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "../base/error.h"

namespace stowage::transfer {

SourceFile::SourceFile(const std::string& path)
    : path_(path), handle_(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)) {
  if (handle_ < 0) throw SystemError(errno, "open " + path);
}

SourceFile::~SourceFile() { close(handle_); }

size_t SourceFile::Read(uint8_t* to, size_t size, uint64_t offset) const {
  size_t done = 0;
  while (done < size) {
    const ssize_t read = pread(handle_, to + done, size - done, static_cast<off_t>(offset + done));
    if (read < 0 && errno == EINTR) continue;
    if (read < 0) throw SystemError(errno, "read " + path_);
    if (read == 0) break;
    done += static_cast<size_t>(read);
  }
  return done;
}

}  // namespace stowage::transfer
