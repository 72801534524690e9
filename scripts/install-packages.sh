#!/bin/sh
# Installs the npm packages that package-lock.json names, quietly, with local Node.js headers where there are some.
# raw-socket is optional: where it does not compile, everything else is installed and ICMP probes say why they cannot run.
set -eu
log=$(mktemp)
trap 'rm -f "$log"' EXIT
headers=$(sh scripts/node-headers.sh)
[ -z "$headers" ] || export npm_package_config_node_gyp_nodedir="$headers"

# Over an existing folder `npm install` changes only what differs; `npm ci` would delete it first.
if [ -d node_modules ]; then command='install --no-save'; else command='ci'; fi
echo 'installing npm packages'
# shellcheck disable=SC2086
if ! npm $command --no-audit --no-fund --loglevel=error </dev/null >"$log" 2>&1; then
  cat "$log" >&2
  echo "weft: npm $command failed; the reason stands above" >&2
  exit 1
fi
cp package-lock.json node_modules/.weft-lock
