#include "convert.h"

#include <memory>
#include <utility>

#include "wim/text.h"
#include "wim_file.h"

namespace stowage {

wim::Object ObjectFromJavaScript(const Napi::Object& object) {
  wim::Object result;
  const Napi::Array names = object.GetPropertyNames();
  for (uint32_t n = 0; n < names.Length(); n++) {
    const Napi::Value name = names.Get(n);
    result.emplace_back(name.As<Napi::String>().Utf8Value(), FromJavaScript(object.Get(name)));
  }
  return result;
}

wim::Value FromJavaScript(const Napi::Value& value) {
  if (value.IsUndefined() || value.IsNull()) return {};
  if (value.IsBoolean()) return value.As<Napi::Boolean>().Value();
  if (value.IsNumber()) return value.As<Napi::Number>().DoubleValue();
  if (value.IsString()) return wim::Wtf8FromUtf16(value.As<Napi::String>().Utf16Value());
  if (value.IsBuffer()) {
    const auto bytes = value.As<Napi::Buffer<uint8_t>>();
    return wim::Bytes(bytes.Data(), bytes.Data() + bytes.Length());
  }
  if (value.IsArray()) {
    const auto array = value.As<Napi::Array>();
    wim::List list;
    for (uint32_t n = 0; n < array.Length(); n++) list.push_back(FromJavaScript(array.Get(n)));
    return list;
  }
  if (WimFile::Is(value)) return WimFile::WimOf(value);
  if (value.IsObject() && !value.IsFunction()) return ObjectFromJavaScript(value.As<Napi::Object>());
  throw Napi::TypeError::New(value.Env(), "an operation does not take a value of this type");
}

Napi::Value ToJavaScript(Napi::Env env, const wim::Value& value) {
  struct Converter {
    Napi::Env env;
    Napi::Value operator()(std::monostate) const { return env.Undefined(); }
    Napi::Value operator()(bool yes) const { return Napi::Boolean::New(env, yes); }
    Napi::Value operator()(double number) const { return Napi::Number::New(env, number); }
    Napi::Value operator()(const std::string& text) const { return Napi::String::New(env, wim::Utf16FromWtf8(text)); }
    Napi::Value operator()(const wim::Bytes& bytes) const {
      return Napi::Buffer<uint8_t>::Copy(env, bytes.data(), bytes.size());
    }
    Napi::Value operator()(const wim::List& list) const {
      Napi::Array array = Napi::Array::New(env, list.size());
      for (uint32_t n = 0; n < list.size(); n++) array.Set(n, ToJavaScript(env, list[n]));
      return array;
    }
    Napi::Value operator()(const wim::Object& members) const {
      Napi::Object object = Napi::Object::New(env);
      for (const auto& [name, member] : members) object.Set(name, ToJavaScript(env, member));
      return object;
    }
    Napi::Value operator()(const std::shared_ptr<const wim::OpenWim>& wim) const { return WimFile::New(env, wim); }
  };
  return std::visit(Converter{env},
                    static_cast<const std::variant<std::monostate, bool, double, std::string, wim::Bytes, wim::List,
                                                   wim::Object, std::shared_ptr<const wim::OpenWim>>&>(value));
}

Napi::Value MoveToJavaScript(Napi::Env env, wim::Value value) {
  auto* list = std::get_if<wim::List>(&value);
  if (list == nullptr) return ToJavaScript(env, value);
  Napi::Array array = Napi::Array::New(env, list->size());
  for (uint32_t n = 0; n < list->size(); n++) {
    auto* bytes = std::get_if<wim::Bytes>(&(*list)[n]);
    if (bytes == nullptr) {
      array.Set(n, ToJavaScript(env, (*list)[n]));
      continue;
    }
    auto owned = std::make_unique<wim::Bytes>(std::move(*bytes));
    uint8_t* const data = owned->data();
    const size_t size = owned->size();
    const auto release = [](Napi::Env, uint8_t*, wim::Bytes* bytes) { delete bytes; };
    array.Set(n, Napi::Buffer<uint8_t>::NewOrCopy(env, data, size, release, owned.release()));
  }
  return array;
}

}  // namespace stowage
