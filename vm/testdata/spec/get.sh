#!/usr/bin/env bash
# Fetches the core test suite of WebAssembly 2.0 and converts it to spectest-2.0.zip beside this script,
# where the tests of vm and vm/wasm look for it.
#
# Needs git, zip, and wast2json of wabt (1.0.32 is known to work: apt-get install wabt, brew install wabt).
#
#   vm/testdata/spec/get.sh [CHECKOUT]
#
# CHECKOUT is a copy of the specification's repository at tag wg-2.0.draft1; without it one is cloned.
# The suite is under the Apache 2.0 licence and is not kept in this repository.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
for tool in git zip wast2json; do
  command -v "$tool" >/dev/null || { echo "get.sh: $tool is missing; wast2json is a part of wabt" >&2; exit 1; }
done

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
source=${1:-$scratch/spec}
if [ $# -eq 0 ]; then
  git clone --quiet --depth 1 --branch wg-2.0.draft1 https://github.com/WebAssembly/spec "$source"
fi
out=$scratch/out

# convert DIR GROUP: every script of DIR becomes GROUP/NAME/NAME.json with its modules beside it.
convert() {
  local script name
  for script in "$1"/*.wast; do
    name=$(basename "$script" .wast)
    mkdir -p "$out/$2/$name"
    wast2json "$script" -o "$out/$2/$name/$name.json"
  done
}

cd "$source"
convert test/core core
convert test/core/simd simd

# Modules in the text format say nothing to a binary decoder.
find "$out" -name '*.wat' -delete
rm -f "$here/spectest-2.0.zip"
(cd "$out" && zip -q -r -X "$here/spectest-2.0.zip" core simd)
echo "$here/spectest-2.0.zip: $(find "$out" -name '*.json' | wc -l) scripts"
