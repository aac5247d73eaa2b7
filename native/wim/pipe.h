// A pipe of the system: how a stream meets a file descriptor of libwim. Not on Windows.
#ifndef STOWAGE_WIM_PIPE_H_
#define STOWAGE_WIM_PIPE_H_

#ifndef _WIN32

#include <utility>

namespace stowage::wim {

// The end to read from and the end to write to, both blocking and closed in programs that are begun. Whoever asks
// closes them. Throws the errno's Error.
std::pair<int, int> MakePipe();

}  // namespace stowage::wim

#endif

#endif  // STOWAGE_WIM_PIPE_H_
