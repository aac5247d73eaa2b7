// Files and blobs of a WIM, packed for JavaScript; src/wim/entry.ts unpacks them.
#ifndef STOWAGE_WIM_ENTRY_PACK_H_
#define STOWAGE_WIM_ENTRY_PACK_H_

#include <map>

#include "entry_facts.h"
#include "value.h"

namespace stowage::wim {

class EntryPack {
 public:
  void Add(const EntryFacts& entry);
  // { batches: list of bytes, security: list of bytes }
  Value Take();

 private:
  uint32_t SecurityOf(std::string_view descriptor);

  std::vector<Bytes> batches_;
  List security_;
  std::map<std::string, uint32_t, std::less<>> security_indexes_;
};

// Appends the record of one blob.
void PackResource(const wimlib_resource_entry& resource, Bytes* to);

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_ENTRY_PACK_H_
