#!/bin/sh
# In the image's build: installs the production packages and, of the others, only those that compiling needs, all in
# the versions that package-lock.json names.
set -eu
node -e '
  const { readFileSync, writeFileSync } = require("node:fs");
  const needed = ["@types/dns-packet", "@types/node", "kubernetes-types", "node-gyp", "typescript"];
  const own = JSON.parse(readFileSync("package.json", "utf8"));
  own.devDependencies = Object.fromEntries(needed.map((name) => [name, own.devDependencies[name]]));
  writeFileSync("package.json", JSON.stringify(own));
'
headers=$(sh scripts/node-headers.sh)
[ -z "$headers" ] || export npm_package_config_node_gyp_nodedir="$headers"
npm install --no-audit --no-fund --loglevel=error
