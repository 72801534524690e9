#!/bin/sh
# In the image's build: installs the production packages and, of the others, only those that compiling needs, all in
# the versions that package-lock.json names.
set -eu
node -e '
  const { readFileSync, writeFileSync } = require("node:fs");
  const needed = ["kubernetes-types", "node-gyp", "typescript"];
  const own = JSON.parse(readFileSync("package.json", "utf8"));
  const compiles = ([name]) => needed.includes(name) || name.startsWith("@types/");
  own.devDependencies = Object.fromEntries(Object.entries(own.devDependencies).filter(compiles));
  writeFileSync("package.json", JSON.stringify(own));
'
headers=$(sh scripts/node-headers.sh)
[ -z "$headers" ] || export npm_package_config_node_gyp_nodedir="$headers"
npm install --no-audit --no-fund --loglevel=error
