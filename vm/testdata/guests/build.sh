#!/bin/sh
# Builds the committed guests. Versions that built them: clang and lld 14, wasi-libc 0.0~git20220510, rustc 1.63, as Debian 12 has them.
set -eu
cd "$(dirname "$0")"
clang=${CLANG:-clang}
rustc=${RUSTC:-rustc}

bare="--target=wasm32 -O2 -nostdlib -mbulk-memory -msimd128 -Wl,--no-entry -Wl,--strip-debug -Wl,-z,stack-size=65536"
$clang $bare c/bare.c -o c/bare.wasm
$clang $bare c/capsule.c -o c/capsule.wasm
$clang --target=wasm32-wasi -O2 -Wl,--strip-all c/libc.c -lm -o c/libc.wasm

rust="--edition 2021 -C opt-level=s -C panic=abort -C strip=debuginfo -C link-arg=-zstack-size=65536"
$rustc $rust --target wasm32-unknown-unknown rust/nostd.rs -o rust/nostd.wasm
$rustc $rust --target wasm32-wasi --crate-type bin rust/std.rs -C lto=fat -o rust/std.wasm
