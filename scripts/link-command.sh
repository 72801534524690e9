#!/bin/sh
# Makes `npx weft …` run this checkout's command line: the compiler drops the executable bit, and npx looks in .bin.
set -eu
main=dist/src/cli/main.js
[ -f "$main" ] || exit 0
chmod +x "$main"
mkdir -p node_modules/.bin
ln -sfn "../../$main" node_modules/.bin/weft
