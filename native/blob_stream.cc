#include "blob_stream.h"

#include <mutex>
#include <utility>
#include <vector>

#include "promise_worker.h"
#include "wim/blob_reader.h"
#include "wim_file.h"

namespace stowage {

namespace {

constexpr size_t kBatchBytes = 1u << 20;
constexpr uint64_t kWindow = 32u << 20;

struct PieceHead {
  uint32_t request;
  uint32_t size;
  uint32_t last;
};

struct Pieces {
  std::vector<uint8_t> bytes;
  std::vector<PieceHead> heads;
};

std::vector<uint32_t> CheckedRequests(const Napi::CallbackInfo& info, const wim::BlobTable& table) {
  const auto list = info[1].As<Napi::Uint32Array>();
  std::vector<uint32_t> requests(list.Data(), list.Data() + list.ElementLength());
  for (const uint32_t request : requests) {
    if (request >= table.blobs().size()) throw Napi::RangeError::New(info.Env(), "no such blob");
  }
  return requests;
}

}  // namespace

// The reader uses the pool and the archive, so it is declared after both and destroyed first.
struct BlobStream::State {
  State(std::shared_ptr<const wim::Archive> opened, std::vector<uint32_t> requests, unsigned threads)
      : archive(std::move(opened)), pool(threads), reader(archive->blobs(), std::move(requests), pool, kWindow) {}

  std::shared_ptr<const wim::Archive> archive;
  WorkerPool pool;
  wim::BlobReader reader;
  std::mutex mutex;

  Pieces Read() {
    std::lock_guard<std::mutex> lock(mutex);
    Pieces pieces;
    wim::BlobReader::Piece piece;
    while (pieces.bytes.size() < kBatchBytes && reader.Next(&piece)) {
      pieces.heads.push_back({piece.request, static_cast<uint32_t>(piece.size), piece.last});
      pieces.bytes.insert(pieces.bytes.end(), piece.data, piece.data + piece.size);
    }
    return pieces;
  }
};

void BlobStream::Register(Napi::Env env, Napi::Object exports) {
  exports.Set("BlobStream", DefineClass(env, "BlobStream",
                                        {
                                            InstanceMethod<&BlobStream::Next>("next"),
                                            InstanceMethod<&BlobStream::Close>("close"),
                                        }));
}

// new BlobStream(wim: WimFile, blobs: Uint32Array, threads: number)
BlobStream::BlobStream(const Napi::CallbackInfo& info) : Napi::ObjectWrap<BlobStream>(info) {
  const auto archive = WimFile::ArchiveOf(info[0]);
  const unsigned threads = info[2].As<Napi::Number>().Uint32Value();
  std::vector<uint32_t> requests = CheckedRequests(info, archive->blobs());
  try {
    state_ = std::make_shared<State>(archive, std::move(requests), threads < 1 ? 1 : threads);
  } catch (const Error& error) {
    throw ToJavaScript(info.Env(), error);
  }
}

// next(): Promise<{ bytes: Buffer, heads: Uint32Array } | undefined>; a head is (request, size, last: 0 or 1).
Napi::Value BlobStream::Next(const Napi::CallbackInfo& info) {
  if (!state_) throw ToJavaScript(info.Env(), Error("WIM_CLOSED", "this stream of blobs is closed"));
  return PromiseWorker<Pieces>::Run(
      info.Env(), "wim:blobs", [state = state_] { return state->Read(); },
      [](Napi::Env env, Pieces& pieces) -> Napi::Value {
        if (pieces.heads.empty()) return env.Undefined();
        auto heads = Napi::Uint32Array::New(env, pieces.heads.size() * 3);
        for (size_t i = 0; i < pieces.heads.size(); i++) {
          heads[3 * i] = pieces.heads[i].request;
          heads[3 * i + 1] = pieces.heads[i].size;
          heads[3 * i + 2] = pieces.heads[i].last;
        }
        Napi::Object result = Napi::Object::New(env);
        result.Set("bytes", Napi::Buffer<uint8_t>::Copy(env, pieces.bytes.data(), pieces.bytes.size()));
        result.Set("heads", heads);
        return result;
      });
}

Napi::Value BlobStream::Close(const Napi::CallbackInfo& info) {
  state_.reset();
  return info.Env().Undefined();
}

}  // namespace stowage
