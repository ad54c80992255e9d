#!/bin/sh
# Builds the guests that aren't written in Go. Needs clang with wasm-ld, wasi-libc, and rustc with wasm32-unknown-unknown.
set -e
cd "$(dirname "$0")"
CFLAGS="-Oz -Wall -Wextra -Werror"
RUSTC=${RUSTC:-rustc}

clang --target=wasm32 $CFLAGS -nostdlib -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=4096 -o c/add.wasm c/add.c
clang --target=wasm32-wasi $CFLAGS -mexec-model=reactor -Wl,--strip-all -o c/hello.wasm c/hello.c
$RUSTC --edition 2021 --target wasm32-unknown-unknown --crate-type cdylib -C opt-level=z -C lto -C panic=abort \
	-C strip=symbols -C link-arg=-zstack-size=4096 -o rust/add.wasm rust/add.rs
ls -l c/*.wasm rust/*.wasm
