#include "codec.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "promise_worker.h"
#include "wim/decompressors.h"
#include "wim/library.h"

namespace stowage {

namespace {

using Bytes = std::vector<uint8_t>;

Bytes Copy(const Napi::Value& value) {
  const auto bytes = value.As<Napi::Buffer<uint8_t>>();
  return Bytes(bytes.Data(), bytes.Data() + bytes.Length());
}

wimlib_compression_type Type(const Napi::Value& value) {
  return static_cast<wimlib_compression_type>(value.As<Napi::Number>().Int32Value());
}

struct CompressorDeleter {
  void operator()(wimlib_compressor* compressor) const { wim::Libwim().free_compressor(compressor); }
};

// Nothing if the chunk does not get smaller: a WIM stores it uncompressed.
std::optional<Bytes> Compress(wimlib_compression_type type, unsigned level, Bytes chunk) {
  std::unique_ptr<wimlib_compressor, CompressorDeleter> compressor;
  wim::CheckLibrary("create a compressor", [&] {
    wimlib_compressor* made = nullptr;
    const int code =
        wim::Libwim().create_compressor(type, chunk.size(), level | WIMLIB_COMPRESSOR_FLAG_DESTRUCTIVE, &made);
    compressor.reset(made);
    return code;
  });
  Bytes compressed(chunk.size());
  const size_t size =
      wim::Libwim().compress(chunk.data(), chunk.size(), compressed.data(), chunk.size() - 1, compressor.get());
  if (size == 0) return std::nullopt;
  compressed.resize(size);
  return compressed;
}

// compressChunk(type: number, level: number, chunk: Buffer): Promise<Buffer | undefined>
Napi::Value CompressChunk(const Napi::CallbackInfo& info) {
  const auto type = Type(info[0]);
  const unsigned level = info[1].As<Napi::Number>();
  return PromiseWorker<std::optional<Bytes>>::Run(
      info.Env(), "wim:compress", [type, level, chunk = Copy(info[2])] { return Compress(type, level, chunk); },
      [](Napi::Env env, std::optional<Bytes>& bytes) -> Napi::Value {
        if (!bytes) return env.Undefined();
        return Napi::Buffer<uint8_t>::Copy(env, bytes->data(), bytes->size());
      });
}

wim::Decompressors::Whose Whose(const Napi::Value& value) {
  if (!value.IsString()) return wim::Decompressors::Whose::kEither;
  return value.As<Napi::String>().Utf8Value() == "ours" ? wim::Decompressors::Whose::kOurs
                                                        : wim::Decompressors::Whose::kLibrary;
}

// decompressChunk(type: number, chunkSize: number, compressed: Buffer, size: number, whose?: 'ours' | 'libwim'):
// Promise<Buffer>
Napi::Value DecompressChunk(const Napi::CallbackInfo& info) {
  const auto type = Type(info[0]);
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
    wim::StartLibrary();
    const uint64_t memory = wim::Libwim().get_compressor_needed_memory(
        Type(info[0]), info[1].As<Napi::Number>().Uint32Value(), info[2].As<Napi::Number>().Uint32Value());
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
