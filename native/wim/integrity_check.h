// Compares a file with its integrity table.
#ifndef STOWAGE_WIM_INTEGRITY_CHECK_H_
#define STOWAGE_WIM_INTEGRITY_CHECK_H_

#include <cstdint>
#include <functional>
#include <string>

#include "../base/worker_pool.h"
#include "observer.h"

namespace stowage::wim {

// Calls `damaged` with a message that names the file, for each chunk that is not what the table says, and the chunk's
// offset. A file without a table is not checked. Reports `verify-integrity`. Throws WIM_CORRUPT if the table itself
// cannot be right, ABORTED, or an errno's Error.
void CheckIntegrity(const std::string& path, WorkerPool& pool, Observer& observer,
                    const std::function<void(const std::string& message, uint64_t offset)>& damaged);

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_INTEGRITY_CHECK_H_
