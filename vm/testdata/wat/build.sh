#!/bin/sh
# Assembles the modules of the tests; wat2wasm is part of wabt.
set -e
cd "$(dirname "$0")"
for f in *.wat; do wat2wasm "$f" -o "${f%.wat}.wasm"; done
