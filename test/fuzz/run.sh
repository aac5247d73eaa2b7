#!/usr/bin/env bash
# Fuzzes the WIM readers: test/fuzz/run.sh [SECONDS] [CORPUS]. Needs clang with libFuzzer's runtime (Debian: clang,
# libclang-rt-14-dev) and wimtools for the seeds. What it finds stays in the corpus directory as crash-*, slow-*, oom-*.
set -euo pipefail

seconds=${1:-60}
corpus=$(realpath -m "${2:-${TMPDIR:-/tmp}/stowage-fuzz}")
here=$(cd "$(dirname "$0")" && pwd)
native=$here/../../native
mkdir -p "$corpus/corpus-found"

clang++ -std=c++17 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -I"$native" \
  "$here/wim-reader.cc" "$native"/wim/{archive,blob_reader,blob_table,containment,error,file,gzip,header,integrity,library,metadata}.cc \
  "$native"/wim/{pipe,pipe_guard,resource,text,value,verifier,wim_struct,worker_pool}.cc \
  -o "$corpus/wim-reader" -lwim -l:libdeflate.a -l:libcrypto.a -lpthread

# Seeds: one small tree in every form a WIM has.
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/a/directory" "$corpus/seeds"
seq 9000 >"$tree/a/text" && head -c 3000 /dev/urandom >"$tree/a/directory/noise" && ln "$tree/a/text" "$tree/a/link" && : >"$tree/a/empty"
for form in 'none --compress=none' 'xpress --compress=XPRESS' 'lzx --compress=LZX' 'lzms --compress=LZMS' \
  'solid --solid --solid-chunk-size=32K' 'pipable --pipable' \
  'checked --check' 'pipable-checked --pipable --check' 'two --compress=XPRESS --chunk-size=4K'; do
  rm -f "$corpus/seeds/${form%% *}.wim"
  # shellcheck disable=SC2086 # the words after the name are options
  wimlib-imagex capture "$tree/a" "$corpus/seeds/${form%% *}.wim" ${form#* } >/dev/null 2>&1
done
cp "$here/../../fixtures/nanoserver-sample.wim" "$corpus/seeds/"

cd "$corpus"
ASAN_OPTIONS=allocator_may_return_null=1:max_allocation_size_mb=600 \
  ./wim-reader -max_total_time="$seconds" -max_len=80000 -rss_limit_mb=1500 -timeout=20 -use_value_profile=1 -print_final_stats=1 corpus-found seeds
