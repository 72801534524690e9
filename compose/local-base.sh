#!/bin/sh
# Makes a base image where no registry answers: Debian's packages, this machine's Node.js, npm and certificates, under
# the name that the Dockerfile asks for.
#   local-base.sh IMAGE
# Needs root, mmdebstrap and a running engine. The certificates come along because a machine without a registry often
# reaches npm's through a proxy of its own.
set -eu
image=$1
prefix=$(node -p 'require("node:path").resolve(process.execPath, "../..")')
certificates=/etc/ssl/certs/ca-certificates.crt
for file in "$prefix/bin/node" "$prefix/lib/node_modules/npm" "$prefix/include/node/node.h"; do
  [ -e "$file" ] || { echo "weft: $file is missing, so no base image can be made from it" >&2; exit 1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

mkdir -p "$work/usr/local/bin" "$work/usr/local/lib/node_modules" "$work/usr/local/include" "$work/certs"
cp "$prefix/bin/node" "$work/usr/local/bin/"
cp -R "$prefix/lib/node_modules/npm" "$work/usr/local/lib/node_modules/"
cp -R "$prefix/include/node" "$work/usr/local/include/"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$work/usr/local/bin/npm"
ln -s ../lib/node_modules/npm/bin/npx-cli.js "$work/usr/local/bin/npx"
[ ! -f "$certificates" ] || cp "$certificates" "$work/certs/"

# shellcheck disable=SC2016
mmdebstrap --quiet --variant=minbase --include=ca-certificates \
  --customize-hook='cp -R "'"$work"'/usr/local/." "$1/usr/local/"' \
  --customize-hook='cp "'"$work"'/certs/"* "$1/etc/ssl/certs/" 2>/dev/null || :' \
  --customize-hook='rm -rf "$1"/usr/share/doc/* "$1"/usr/share/man/* "$1"/usr/share/locale/*' \
  bookworm "$work/base.tar"
docker import --change "ENV NODE_EXTRA_CA_CERTS=$certificates" --change 'CMD ["node"]' "$work/base.tar" "$image" >/dev/null
