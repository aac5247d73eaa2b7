#include "blob_send_job.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace stowage {

transfer::Place PlaceOf(const Napi::Object& request) {
  transfer::Place place;
  const auto addresses = request.Get("addresses").As<Napi::Array>();
  for (uint32_t n = 0; n < addresses.Length(); n++) {
    place.addresses.push_back(addresses.Get(n).As<Napi::String>().Utf8Value());
  }
  place.port = static_cast<uint16_t>(request.Get("port").As<Napi::Number>().Uint32Value());
  place.connect_timeout = request.Get("connectTimeout").As<Napi::Number>().Int32Value();
  place.silence = request.Get("silence").As<Napi::Number>().Int32Value();
  if (request.Has("tls")) {
    const auto tls = request.Get("tls").As<Napi::Object>();
    const auto text = [&tls](const char* name) { return tls.Get(name).As<Napi::String>().Utf8Value(); };
    place.tls = transfer::TlsSettings{text("name"), text("authorities"), text("certificate"), text("key")};
  }
  return place;
}

std::string HeadOf(const Napi::Object& request) {
  const auto head = request.Get("head").As<Napi::Buffer<char>>();
  return std::string(head.Data(), head.Length());
}

// callback({ sent, result?: { answer: Buffer, size }, error? })
struct BlobSendJob::Events : ThreadEvents {
  std::optional<transfer::Sent> result;
  uint64_t sent = 0;

  void Describe(Napi::Object event) override {
    event.Set("sent", static_cast<double>(std::exchange(sent, 0)));
    if (!result) return;
    Napi::Object object = Napi::Object::New(event.Env());
    object.Set("answer", Napi::Buffer<char>::Copy(event.Env(), result->answer.data(), result->answer.size()));
    object.Set("size", static_cast<double>(result->size));
    event.Set("result", object);
  }
};

void BlobSendJob::Register(Napi::Env env, Napi::Object exports) { Define(env, exports, "BlobSendJob", {}); }

// new BlobSendJob({ path, offset, size }, { addresses, port, connectTimeout, silence, head, tls? }, callback)
BlobSendJob::BlobSendJob(const Napi::CallbackInfo& info) : ThreadJob(info) {
  const auto blob = info[0].As<Napi::Object>();
  const auto request = info[1].As<Napi::Object>();
  transfer::Sending sending;
  sending.path = blob.Get("path").As<Napi::String>().Utf8Value();
  sending.offset = static_cast<uint64_t>(blob.Get("offset").As<Napi::Number>().Int64Value());
  sending.size = static_cast<uint64_t>(blob.Get("size").As<Napi::Number>().Int64Value());
  sending.place = PlaceOf(request);
  sending.head = HeadOf(request);
  const auto events = std::make_shared<Events>();
  sending.sent = [events](uint64_t size) { events->Report([&] { events->sent += size; }); };
  Start(std::make_shared<transfer::BlobSender>(std::move(sending)), events, info[2].As<Napi::Function>(),
        "stowage:send");
}

}  // namespace stowage
