// What the addon keeps for each Node environment (the main thread and every worker thread have one).
#ifndef STOWAGE_ADDON_DATA_H_
#define STOWAGE_ADDON_DATA_H_

#include <napi.h>

struct AddonData {
  Napi::FunctionReference wim_file;
  Napi::FunctionReference dentry_reader;
  Napi::FunctionReference blob_stream;
  Napi::FunctionReference layer_job;
  Napi::FunctionReference layer_reader;
  Napi::FunctionReference capture_job;
  Napi::FunctionReference wim_job;

  static AddonData& Of(Napi::Env env) { return *env.GetInstanceData<AddonData>(); }
};

#endif  // STOWAGE_ADDON_DATA_H_
