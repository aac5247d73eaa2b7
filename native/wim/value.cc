#include "value.h"

#include <cmath>

#include "../base/error.h"

namespace stowage::wim {

namespace {

[[noreturn]] void Refuse(const std::string& name, const char* why) {
  throw Error("INVALID_ARGUMENT", "argument " + name + " " + why);
}

const std::string& CheckedText(const char* name, const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr) Refuse(name, "is not text");
  if (text->find('\0') != std::string::npos) Refuse(name, "contains a NUL character");
  return *text;
}

}  // namespace

const Value* Arguments::Find(const char* name) const {
  for (const auto& [key, value] : values_) {
    if (key == name) return std::holds_alternative<std::monostate>(value) ? nullptr : &value;
  }
  return nullptr;
}

template <typename Type>
const Type& Arguments::Get(const char* name) const {
  const Value* value = Find(name);
  if (value == nullptr) Refuse(name, "is missing");
  const Type* typed = std::get_if<Type>(value);
  if (typed == nullptr) Refuse(name, "has the wrong type");
  return *typed;
}

int Arguments::Int(const char* name) const {
  const double number = Get<double>(name);
  if (std::floor(number) != number || number < INT32_MIN || number > INT32_MAX) Refuse(name, "is not a whole number");
  return static_cast<int>(number);
}

uint64_t Arguments::Size(const char* name) const {
  const double number = Get<double>(name);
  if (std::floor(number) != number || number < 0 || number > 9007199254740992.0) Refuse(name, "is not a size");
  return static_cast<uint64_t>(number);
}

std::string Arguments::Text(const char* name) const {
  const Value* value = Find(name);
  if (value == nullptr) Refuse(name, "is missing");
  return CheckedText(name, *value);
}

std::optional<std::string> Arguments::OptionalText(const char* name) const {
  const Value* value = Find(name);
  if (value == nullptr) return std::nullopt;
  return CheckedText(name, *value);
}

std::vector<std::string> Arguments::Texts(const char* name) const {
  std::vector<std::string> texts;
  for (const Value& value : Get<List>(name)) texts.push_back(CheckedText(name, value));
  return texts;
}

std::vector<Arguments> Arguments::Objects(const char* name) const {
  std::vector<Arguments> objects;
  for (const Value& value : Get<List>(name)) {
    const auto* object = std::get_if<Object>(&value);
    if (object == nullptr) Refuse(name, "must hold only objects");
    objects.emplace_back(*object);
  }
  return objects;
}

const Bytes& Arguments::Data(const char* name) const { return Get<Bytes>(name); }

std::shared_ptr<const OpenWim> Arguments::Wim(const char* name) const {
  return Get<std::shared_ptr<const OpenWim>>(name);
}

std::vector<std::shared_ptr<const OpenWim>> Arguments::Wims(const char* name) const {
  std::vector<std::shared_ptr<const OpenWim>> wims;
  for (const Value& value : Get<List>(name)) {
    const auto* wim = std::get_if<std::shared_ptr<const OpenWim>>(&value);
    if (wim == nullptr) Refuse(name, "must hold only WIMs");
    wims.push_back(*wim);
  }
  return wims;
}

}  // namespace stowage::wim
