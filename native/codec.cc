#include "codec.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "promise_worker.h"
#include "wim/compressors.h"
#include "wim/decompressors.h"

namespace stowage {

namespace {

using Bytes = std::vector<uint8_t>;

Bytes Copy(const Napi::Value& value) {
  const auto bytes = value.As<Napi::Buffer<uint8_t>>();
  return Bytes(bytes.Data(), bytes.Data() + bytes.Length());
}

wim::Whose Whose(const Napi::Value& value) {
  if (!value.IsString()) return wim::Whose::kEither;
  return value.As<Napi::String>().Utf8Value() == "ours" ? wim::Whose::kOurs : wim::Whose::kLibrary;
}

// Nothing if the chunk does not get smaller: a WIM stores it uncompressed.
std::optional<Bytes> Compress(int type, unsigned level, Bytes chunk, wim::Whose whose) {
  Bytes compressed(chunk.size());
  const size_t size = wim::Compressors(whose).Compress(type, static_cast<uint32_t>(chunk.size()), level, chunk.data(),
                                                       chunk.size(), compressed.data());
  if (size == 0) return std::nullopt;
  compressed.resize(size);
  return compressed;
}

// compressChunk(type: number, level: number, chunk: Buffer, whose?: 'ours' | 'libwim'): Promise<Buffer | undefined>
Napi::Value CompressChunk(const Napi::CallbackInfo& info) {
  const int type = info[0].As<Napi::Number>();
  const unsigned level = info[1].As<Napi::Number>();
  return PromiseWorker<std::optional<Bytes>>::Run(
      info.Env(), "wim:compress",
      [type, level, chunk = Copy(info[2]), whose = Whose(info[3])] { return Compress(type, level, chunk, whose); },
      [](Napi::Env env, std::optional<Bytes>& bytes) -> Napi::Value {
        if (!bytes) return env.Undefined();
        return Napi::Buffer<uint8_t>::Copy(env, bytes->data(), bytes->size());
      });
}

// decompressChunk(type: number, chunkSize: number, compressed: Buffer, size: number, whose?: 'ours' | 'libwim'):
// Promise<Buffer>
Napi::Value DecompressChunk(const Napi::CallbackInfo& info) {
  const int type = info[0].As<Napi::Number>();
  const uint32_t chunk_size = info[1].As<Napi::Number>();
  const size_t size = info[3].As<Napi::Number>().Uint32Value();
  return PromiseWorker<Bytes>::Run(
      info.Env(), "wim:decompress",
      [type, chunk_size, compressed = Copy(info[2]), size, whose = Whose(info[4])] {
        Bytes chunk(size);
        wim::Decompressors(whose).Decompress(type, chunk_size, compressed.data(), compressed.size(), chunk.data(), size,
                                             "a chunk");
        return chunk;
      },
      [](Napi::Env env, Bytes& bytes) -> Napi::Value {
        return Napi::Buffer<uint8_t>::Copy(env, bytes.data(), bytes.size());
      });
}

// compressorMemory(type: number, chunkSize: number, level: number): number, 0 if there is no such compressor
Napi::Value CompressorMemory(const Napi::CallbackInfo& info) {
  try {
    const uint64_t memory = wim::Compressors::Memory(
        info[0].As<Napi::Number>(), info[1].As<Napi::Number>().Uint32Value(), info[2].As<Napi::Number>().Uint32Value());
    return Napi::Number::New(info.Env(), static_cast<double>(memory));
  } catch (const Error& error) {
    throw ToJavaScript(info.Env(), error);
  }
}

}  // namespace

void RegisterCodec(Napi::Env env, Napi::Object exports) {
  exports.Set("compressChunk", Napi::Function::New<CompressChunk>(env, "compressChunk"));
  exports.Set("decompressChunk", Napi::Function::New<DecompressChunk>(env, "decompressChunk"));
  exports.Set("compressorMemory", Napi::Function::New<CompressorMemory>(env, "compressorMemory"));
}

}  // namespace stowage
