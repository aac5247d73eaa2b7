#include "blob_write_job.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "blob_send_job.h"

namespace stowage {

namespace {

uint64_t Number(const Napi::Value& value) { return static_cast<uint64_t>(value.As<Napi::Number>().Int64Value()); }

}  // namespace

Napi::Object PlainOf(Napi::Env env, const transfer::Plain& plain) {
  Napi::Object object = Napi::Object::New(env);
  if (plain.diff_id) object.Set("hex", Hex(*plain.diff_id));
  if (plain.failure) object.Set("failure", ToJavaScript(env, *plain.failure).Value());
  return object;
}

// callback({ room, answered?: { turn, head?: Buffer, failure?: Error }, landing, landed?: { failure?: Error }, result?,
// plain?: { hex?, failure?: Error }, error? })
struct BlobWriteJob::Events : ThreadEvents {
  std::optional<transfer::Answer> answer;
  uint64_t landing = 0;
  std::optional<transfer::Landed> landed;
  std::optional<transfer::Written> result;

  void Describe(Napi::Object event) override {
    const Napi::Env env = event.Env();
    event.Set("landing", static_cast<double>(std::exchange(landing, 0)));
    if (answer) {
      Napi::Object object = Napi::Object::New(env);
      object.Set("turn", answer->turn);
      if (answer->failure) {
        object.Set("failure", ToJavaScript(env, *answer->failure).Value());
      } else {
        object.Set("head", Napi::Buffer<char>::Copy(env, answer->head.data(), answer->head.size()));
      }
      event.Set("answered", object);
      answer.reset();
    }
    if (landed) {
      Napi::Object object = Napi::Object::New(env);
      if (landed->failure) object.Set("failure", ToJavaScript(env, *landed->failure).Value());
      event.Set("landed", object);
      landed.reset();
    }
    if (!result) return;
    event.Set("result", Hex(result->digest));
    if (result->plain) event.Set("plain", PlainOf(env, *result->plain));
  }
};

void BlobWriteJob::Register(Napi::Env env, Napi::Object exports) {
  Define(env, exports, "BlobWriteJob",
         {InstanceMethod("push", &BlobWriteJob::Push), InstanceMethod("ask", &BlobWriteJob::Ask),
          InstanceMethod("land", &BlobWriteJob::Land), InstanceMethod("leave", &BlobWriteJob::Leave),
          InstanceMethod("read", &BlobWriteJob::Read), InstanceMethod("keep", &BlobWriteJob::Keep)});
}

// new BlobWriteJob({ path, handle, offset, held, direct, plain }, callback)
BlobWriteJob::BlobWriteJob(const Napi::CallbackInfo& info) : ThreadJob(info) {
  const auto settings = info[0].As<Napi::Object>();
  transfer::BlobFile file;
  file.path = settings.Get("path").As<Napi::String>().Utf8Value();
  file.handle = settings.Get("handle").As<Napi::Number>().Int32Value();
  file.offset = Number(settings.Get("offset"));
  file.held = Number(settings.Get("held"));
  file.direct = settings.Get("direct").As<Napi::Boolean>();
  file.plain = settings.Get("plain").As<Napi::Boolean>();

  const auto events = std::make_shared<Events>();
  transfer::BlobWriter::Observer observer;
  observer.room = [events] { events->ReportRoom(); };
  observer.answered = [events](transfer::Answer answer) {
    events->Report([&] { events->answer = std::move(answer); });
  };
  observer.landing = [events](uint64_t size) { events->Report([&] { events->landing += size; }); };
  observer.landed = [events](transfer::Landed landed) { events->Report([&] { events->landed = std::move(landed); }); };
  Start(std::make_shared<transfer::BlobWriter>(std::move(file), std::move(observer)), events,
        info[1].As<Napi::Function>(), "stowage:blob");
}

// ask({ turn, addresses: string[], port, connectTimeout, silence, head: Buffer, tls?: { name, authorities, certificate,
// key } })
void BlobWriteJob::Ask(const Napi::CallbackInfo& info) {
  const auto settings = info[0].As<Napi::Object>();
  transfer::Request request;
  request.turn = settings.Get("turn").As<Napi::Number>().Uint32Value();
  request.place = PlaceOf(settings);
  request.head = HeadOf(settings);
  Open().Ask(std::move(request));
}

// land(skip, length)
void BlobWriteJob::Land(const Napi::CallbackInfo& info) { Open().Land(Number(info[0]), Number(info[1])); }

// read(turn, path, offset, length)
void BlobWriteJob::Read(const Napi::CallbackInfo& info) {
  transfer::Copy copy;
  copy.turn = info[0].As<Napi::Number>().Uint32Value();
  copy.path = info[1].As<Napi::String>().Utf8Value();
  copy.offset = Number(info[2]);
  copy.length = Number(info[3]);
  Open().Read(std::move(copy));
}

// leave(turn)
void BlobWriteJob::Leave(const Napi::CallbackInfo& info) { Open().Leave(info[0].As<Napi::Number>().Uint32Value()); }

// keep()
void BlobWriteJob::Keep(const Napi::CallbackInfo&) { Open().Keep(); }

}  // namespace stowage
