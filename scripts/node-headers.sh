#!/bin/sh
# Prints the prefix under which the headers of the running Node.js are, so that node-gyp does not download them.
# Prints nothing where there are none of that version.
set -eu
prefix=$(node -p 'require("node:path").resolve(process.execPath, "../..")')
want=$(node -p 'process.versions.modules')
for dir in "$prefix" /usr /usr/local; do
  header=$dir/include/node/node_version.h
  [ -f "$header" ] && grep -q "NODE_MODULE_VERSION $want\$" "$header" && { echo "$dir"; exit 0; }
done
exit 0
