#include "attributes.h"

#include <string>
#include <utility>
#include <vector>

#ifdef __linux__
#include <sys/xattr.h>

#include <cerrno>
#endif

#include "promise_worker.h"

namespace stowage {

namespace {

struct Attribute {
  std::string name;
  std::string value;
};
// One list for each path.
using Lists = std::vector<std::vector<Attribute>>;

#ifdef __linux__

// Calls `read` until its answer fits: it may have grown since its size was asked for. False if there is no answer.
template <typename Read>
bool ReadAll(Read read, std::string* bytes, const std::string& doing) {
  for (;;) {
    const ssize_t size = read(nullptr, 0);
    if (size >= 0) {
      bytes->resize(static_cast<size_t>(size));
      if (size == 0) return true;
      const ssize_t found = read(bytes->data(), bytes->size());
      if (found >= 0) {
        bytes->resize(static_cast<size_t>(found));
        return true;
      }
    }
    if (errno == ENOTSUP || errno == ENODATA) return false;
    if (errno != ERANGE) throw SystemError(errno, doing);
  }
}

std::string ValueOf(const std::string& name, const std::string& path) {
  std::string value;
  const auto get = [&](char* to, size_t size) { return lgetxattr(path.c_str(), name.c_str(), to, size); };
  ReadAll(get, &value, "read the extended attribute " + name + " of " + path);
  return value;
}

std::vector<Attribute> AttributesOf(const std::string& path) {
  std::vector<Attribute> attributes;
  std::string names;
  const auto list = [&](char* to, size_t size) { return llistxattr(path.c_str(), to, size); };
  if (!ReadAll(list, &names, "list the extended attributes of " + path)) return attributes;
  for (size_t at = 0; at < names.size(); at += attributes.back().name.size() + 1) {
    const std::string name = names.c_str() + at;
    attributes.push_back({name, ValueOf(name, path)});
  }
  return attributes;
}

#else

std::vector<Attribute> AttributesOf(const std::string&) { return {}; }

#endif

// extendedAttributes(paths: string[]): Promise<{ name: Buffer, value: Buffer }[][]>, links not followed. None
// except on Linux.
Napi::Value ExtendedAttributes(const Napi::CallbackInfo& info) {
  const auto list = info[0].As<Napi::Array>();
  std::vector<std::string> paths;
  paths.reserve(list.Length());
  for (uint32_t i = 0; i < list.Length(); i++) paths.push_back(list.Get(i).As<Napi::String>().Utf8Value());
  return PromiseWorker<Lists>::Run(
      info.Env(), "attributes",
      [paths = std::move(paths)] {
        Lists lists;
        lists.reserve(paths.size());
        for (const std::string& path : paths) lists.push_back(AttributesOf(path));
        return lists;
      },
      [](Napi::Env env, Lists& lists) -> Napi::Value {
        Napi::Array all = Napi::Array::New(env, lists.size());
        for (uint32_t i = 0; i < lists.size(); i++) {
          Napi::Array own = Napi::Array::New(env, lists[i].size());
          for (uint32_t n = 0; n < lists[i].size(); n++) {
            const Attribute& attribute = lists[i][n];
            Napi::Object object = Napi::Object::New(env);
            object.Set("name", Napi::Buffer<char>::Copy(env, attribute.name.data(), attribute.name.size()));
            object.Set("value", Napi::Buffer<char>::Copy(env, attribute.value.data(), attribute.value.size()));
            own.Set(n, object);
          }
          all.Set(i, own);
        }
        return all;
      });
}

}  // namespace

void RegisterAttributes(Napi::Env env, Napi::Object exports) {
  exports.Set("extendedAttributes", Napi::Function::New<ExtendedAttributes>(env, "extendedAttributes"));
}

}  // namespace stowage
