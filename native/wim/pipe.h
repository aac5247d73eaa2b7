// A pipe of the system: how a stream meets a file descriptor of libwim. Not on Windows.
#ifndef STOWAGE_WIM_PIPE_H_
#define STOWAGE_WIM_PIPE_H_

#ifndef _WIN32

#include <utility>

namespace stowage::wim {

// The reading and the writing end, both blocking and closed on exec. The caller closes them. Throws the errno's Error.
std::pair<int, int> MakePipe();

}  // namespace stowage::wim

#endif

#endif  // STOWAGE_WIM_PIPE_H_
