#!/bin/sh
# Builds native-bindings/ with npm's node-gyp; prints the compiler's output only when it fails.
set -eu
log=$(mktemp)
trap 'rm -f "$log"' EXIT
headers=$(sh scripts/node-headers.sh)
echo 'compiling the native addon'
cd native-bindings
set -- -j "$(nproc 2>/dev/null || echo 2)"
[ -z "$headers" ] || set -- "$@" "--nodedir=$headers"
# Configuring costs as much as compiling one file: only when it never was, or binding.gyp is newer.
if [ build/Makefile -nt binding.gyp ]; then steps=build; else steps='configure build'; fi
for step in $steps; do
  ../node_modules/.bin/node-gyp "$step" "$@" >"$log" 2>&1 </dev/null || {
    cat "$log" >&2
    echo "weft: the native addon did not compile (node-gyp $step); the reason stands above" >&2
    exit 1
  }
done
