// Files of an image as JSON text: one line each, as docs/wim.md describes it.
#ifndef STOWAGE_WIM_ENTRY_JSON_H_
#define STOWAGE_WIM_ENTRY_JSON_H_

#include <vector>

#include "entry_facts.h"
#include "value.h"

namespace stowage::wim {

// Pieces of a JSON list without its brackets.
class EntryJson {
 public:
  enum class Start { kFirst, kContinued };  // kContinued: another list precedes this one

  explicit EntryJson(Start start = Start::kFirst) : start_(start) {}
  void Add(const EntryFacts& entry);
  List Take();

 private:
  const Start start_;
  std::vector<Bytes> pieces_;
};

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_ENTRY_JSON_H_
