// What the addon keeps for each Node.js environment: the main thread and every worker thread have one.
#ifndef STOWAGE_ADDON_DATA_H_
#define STOWAGE_ADDON_DATA_H_

#include <napi.h>

namespace stowage {

struct AddonData {
  Napi::FunctionReference wim_file;
  Napi::FunctionReference dentry_reader;

  static AddonData& Of(Napi::Env env) { return *env.GetInstanceData<AddonData>(); }
};

}  // namespace stowage

#endif  // STOWAGE_ADDON_DATA_H_
