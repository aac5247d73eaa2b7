#!/usr/bin/env bash
# Fuzzes the readers of WIM files, of layers, of compressed layers, of DEFLATE and of the chunks of WIMs, and what compresses those
# chunks, one after the other: test/fuzz/run.sh [SECONDS] [CORPUS] [wim|layer|compressed|inflate|decompress|compress].
# Needs clang with libFuzzer's runtime (Debian: clang, libclang-rt-14-dev), zlib1g-dev, wimtools and zstd for the seeds. What it finds
# stays in the corpus directory as crash-*, slow-*, oom-*.
set -euo pipefail

seconds=${1:-60}
corpus=$(realpath -m "${2:-${TMPDIR:-/tmp}/stowage-fuzz}")
here=$(cd "$(dirname "$0")" && pwd)
native=$here/../../native
only=${3:-wim layer compressed inflate decompress compress}
flags=(-std=c++17 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined "-I$native")
options=("-max_total_time=$seconds" -rss_limit_mb=1500 -timeout=20 -use_value_profile=1 -print_final_stats=1)
export ASAN_OPTIONS=allocator_may_return_null=1:max_allocation_size_mb=600

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/a/directory"
seq 9000 >"$tree/a/text" && head -c 3000 /dev/urandom >"$tree/a/directory/noise" && ln "$tree/a/text" "$tree/a/link" && : >"$tree/a/empty"

# The C++ sources of some rooms of native/, as words.
sources() { node "$native/sources.mjs" linux "$@" | sed "s,^,$native/../,"; }

fuzz_wim() {
  mkdir -p "$corpus/corpus-found" "$corpus/seeds"
  clang++ "${flags[@]}" \
    "$here/wim-reader.cc" $(sources base codecs wim) \
    -o "$corpus/wim-reader" -l:libdeflate.a -l:libzstd.a -l:liblzma.a -l:libcrypto.a -lpthread
  # Seeds: one small tree in every form a WIM has.
  for form in 'none --compress=none' 'xpress --compress=XPRESS' 'lzx --compress=LZX' 'lzms --compress=LZMS' \
    'solid --solid --solid-chunk-size=32K' 'pipable --pipable' \
    'checked --check' 'pipable-checked --pipable --check' 'two --compress=XPRESS --chunk-size=4K'; do
    rm -f "$corpus/seeds/${form%% *}.wim"
    # shellcheck disable=SC2086 # the words after the name are options
    wimlib-imagex capture "$tree/a" "$corpus/seeds/${form%% *}.wim" ${form#* } >/dev/null 2>&1
  done
  cp "$here/../../fixtures/nanoserver-sample.wim" "$corpus/seeds/"
  (cd "$corpus" && ./wim-reader "${options[@]}" -max_len=80000 corpus-found seeds)
}

fuzz_layer() {
  mkdir -p "$corpus/layer-found" "$corpus/layer-seeds"
  clang++ "${flags[@]}" "$here/layer-reader.cc" $(sources base) "$native"/layer/{layer_input,tar_reader}.cc \
    -o "$corpus/layer-reader" -l:libdeflate.a -l:libz.a -l:libzstd.a -l:libcrypto.a -lpthread
  # Seeds: one small tree in every form a tar has, plain and compressed.
  mkdir -p "$tree/b/$(printf 'long%.0s' {1..40})/$(printf 'name%.0s' {1..40})" && ln -sf text "$tree/b/symlink" && echo x >"$tree/b/ü"
  for format in v7 ustar gnu posix; do
    tar --format=$format -C "$tree/b" -cf "$corpus/layer-seeds/$format.tar" . 2>/dev/null || true
  done
  gzip -kf "$corpus/layer-seeds/posix.tar" && cat "$corpus/layer-seeds/posix.tar.gz" "$corpus/layer-seeds/posix.tar.gz" >"$corpus/layer-seeds/two.gz"
  zstd -qf "$corpus/layer-seeds/posix.tar"
  (cd "$corpus" && ./layer-reader "${options[@]}" -max_len=40000 layer-found layer-seeds)
}

fuzz_compressed() {
  mkdir -p "$corpus/compressed-found" "$corpus/compressed-seeds"
  clang++ "${flags[@]}" "$here/compressed-input.cc" $(sources base) "$native"/layer/layer_input.cc \
    -o "$corpus/compressed-input" -l:libdeflate.a -l:libz.a -l:libzstd.a -l:libcrypto.a -lpthread
  # Seeds: stored, fixed and dynamic blocks, several members and frames, empty ones, checksums, padding.
  local seeds=$corpus/compressed-seeds
  head -c 600 "$tree/a/text" >"$tree/short"
  for level in 1 6 9; do
    gzip -c -$level "$tree/short" >"$seeds/$level.gz"
    zstd -qfc -$level "$tree/short" >"$seeds/$level.zst"
  done
  gzip -c "$tree/a/directory/noise" >"$seeds/stored.gz" && zstd -qfc "$tree/a/directory/noise" >"$seeds/raw.zst"
  gzip -c "$tree/a/empty" >"$seeds/empty.gz" && zstd -qfc --no-check "$tree/a/empty" >"$seeds/empty.zst"
  cat "$seeds/1.gz" "$seeds/empty.gz" "$seeds/9.gz" >"$seeds/three.gz" && cat "$seeds/1.zst" "$seeds/9.zst" >"$seeds/two.zst"
  { cat "$seeds/6.gz" && head -c 700 /dev/zero; } >"$seeds/padded.gz"
  (cd "$corpus" && ./compressed-input "${options[@]}" -max_len=8000 compressed-found compressed-seeds)
}

fuzz_inflate() {
  mkdir -p "$corpus/inflate-found" "$corpus/inflate-seeds"
  clang++ "${flags[@]}" "$here/inflate.cc" "$native/base/inflate.cc" -o "$corpus/inflate" -l:libz.a
  # Seeds: what gzip puts between its head and its trailer, in its three kinds of blocks.
  local seeds=$corpus/inflate-seeds
  head -c 600 "$tree/a/text" >"$tree/short"
  for level in 1 6 9; do gzip -nc -$level "$tree/short" | tail -c +11 | head -c -8 >"$seeds/$level"; done
  printf 'aaaaaaaaaa' | gzip -nc | tail -c +11 | head -c -8 >"$seeds/fixed"
  gzip -nc "$tree/a/directory/noise" | tail -c +11 | head -c -8 >"$seeds/stored"
  gzip -nc "$tree/a/text" | tail -c +11 | head -c -8 >"$seeds/long"
  (cd "$corpus" && ./inflate "${options[@]}" -max_len=20000 inflate-found inflate-seeds)
}

fuzz_decompress() {
  mkdir -p "$corpus/decompress-found" "$corpus/decompress-seeds"
  clang++ "${flags[@]}" "$here/decompress.cc" $(sources codecs) -o "$corpus/decompress" -lwim
  # Seeds: text and machine code in each compression, after the head that the target reads.
  node --input-type=module - "$native/../dist/index.js" "$corpus/decompress-seeds" <<'END'
import { readFileSync, writeFileSync } from 'node:fs'
const [module, directory] = process.argv.slice(2)
const { compressChunk } = await import(module)
const contents = {
  text: Buffer.from(Array.from({ length: 400 }, (_, n) => `line ${n * 7919} of text`).join('\n')),
  code: readFileSync(process.execPath).subarray(30_000_000, 30_006_000),
  zeros: Buffer.alloc(3000),
  numbers: Buffer.from(Uint32Array.from({ length: 1000 }, (_, n) => n * 1021).buffer),
  tiny: Buffer.from('aaaaaaaaaa'),
}
for (const [number, compression] of ['xpress', 'lzx', 'lzms'].entries())
  for (const [name, content] of Object.entries(contents))
    for (const level of [10, 100]) {
      const compressed = await compressChunk(content, { compression, level })
      const head = Buffer.from([number, level, (content.length - 1) % 256, (content.length - 1) >> 8])
      if (compressed) writeFileSync(`${directory}/${compression}-${name}-${level}`, Buffer.concat([head, compressed]))
    }
END
  (cd "$corpus" && ./decompress "${options[@]}" -max_len=20000 decompress-found decompress-seeds)
}

fuzz_compress() {
  mkdir -p "$corpus/compress-found" "$corpus/compress-seeds"
  clang++ "${flags[@]}" "$here/compress.cc" $(sources codecs) -o "$corpus/compress" -lwim
  # Seeds: text, noise and machine code, after the head that the target reads.
  local seeds=$corpus/compress-seeds
  { printf '\003\000\000' && head -c 6000 "$tree/a/text"; } >"$seeds/text"
  { printf '\003\024\007' && cat "$tree/a/directory/noise"; } >"$seeds/noise"
  { printf '\006\000\000' && head -c 6000 "$(type -P bash)"; } >"$seeds/code"
  { printf '\001\377\000' && head -c 255 /dev/zero; } >"$seeds/run"
  (cd "$corpus" && ./compress "${options[@]}" -max_len=20000 compress-found compress-seeds)
}

for reader in $only; do "fuzz_$reader"; done
