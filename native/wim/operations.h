// Every call of libwim that lasts, by name, with plain arguments and a plain result.
#ifndef STOWAGE_WIM_OPERATIONS_H_
#define STOWAGE_WIM_OPERATIONS_H_

#include <string>

#include "observer.h"
#include "value.h"

namespace stowage::wim {

// Runs one operation on the calling thread. The names and arguments are declared in src/wim/binding.ts. Flags are
// libwim's. Throws WIMLIB_ERR_*, what reading a WIM throws, ABORTED once `observer` is cancelled, or INVALID_ARGUMENT.
Value RunOperation(const std::string& name, const Object& arguments, Observer& observer);

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_OPERATIONS_H_
