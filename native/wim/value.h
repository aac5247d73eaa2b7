// Arguments and results of an operation: plain data, which the callers convert from and to JavaScript values.
#ifndef STOWAGE_WIM_VALUE_H_
#define STOWAGE_WIM_VALUE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace stowage::wim {

struct OpenWim;
struct Value;
using Bytes = std::vector<uint8_t>;
using List = std::vector<Value>;
using Object = std::vector<std::pair<std::string, Value>>;

// Texts are WTF-8: UTF-8 that may hold lone surrogates, as names in a WIM may.
struct Value
    : std::variant<std::monostate, bool, double, std::string, Bytes, List, Object, std::shared_ptr<const OpenWim>> {
  using variant::variant;
  // NOLINTBEGIN(google-explicit-constructor): implicit, as those of the variant are, so that lists of them read as data
  Value(const char* text) : variant(std::string(text)) {}
  Value(uint64_t number) : variant(static_cast<double>(number)) {}
  Value(uint32_t number) : variant(static_cast<double>(number)) {}
  Value(int number) : variant(static_cast<double>(number)) {}
  // NOLINTEND(google-explicit-constructor)
};

// The arguments of an operation, by name. A missing argument or one of the wrong type throws INVALID_ARGUMENT.
class Arguments {
 public:
  explicit Arguments(const Object& values) : values_(values) {}

  int Int(const char* name) const;
  // A size or count: whole, and from 0 to 2^53.
  uint64_t Size(const char* name) const;
  bool Has(const char* name) const { return Find(name) != nullptr; }
  // For libwim, which takes C strings: holds no NUL.
  std::string Text(const char* name) const;
  std::optional<std::string> OptionalText(const char* name) const;
  std::vector<std::string> Texts(const char* name) const;
  std::vector<Arguments> Objects(const char* name) const;
  const Bytes& Data(const char* name) const;
  std::shared_ptr<const OpenWim> Wim(const char* name) const;
  std::vector<std::shared_ptr<const OpenWim>> Wims(const char* name) const;

 private:
  // Null if it is missing or has no value.
  const Value* Find(const char* name) const;
  template <typename Type>
  const Type& Get(const char* name) const;

  const Object& values_;
};

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_VALUE_H_
