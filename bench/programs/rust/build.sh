#!/bin/sh
# Builds the kernels in Rust; the results are committed. rustc 1.63 of Debian 12 with libstd-rust-dev-wasm32 built them.
set -eu
cd "$(dirname "$0")"
for source in *.rs; do
  "${RUSTC:-rustc}" --edition 2021 --target wasm32-unknown-unknown --crate-type cdylib -O -C lto=fat -C codegen-units=1 \
    -C panic=abort -C strip=symbols -C link-arg=-zstack-size=65536 "$source" -o "${source%.rs}.wasm"
done
