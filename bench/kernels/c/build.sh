#!/bin/sh
# Builds every kernel with clang 14 and lld. The results are committed, so that
# a benchmark needs neither. The linker is called by itself because clang would
# run whatever wasm-opt it finds over the result.
set -eu
cd "$(dirname "$0")"
object=$(mktemp)
trap 'rm -f "$object"' EXIT
for source in *.c; do
  extra=
  [ "$source" = simd.c ] && extra=-msimd128
  clang --target=wasm32 -O2 -ffreestanding -mbulk-memory -msign-ext $extra -c -o "$object" "$source"
  wasm-ld --no-entry --strip-all -o "../wasm/${source%.c}.wasm" "$object"
done
