#!/bin/sh
# Builds the image, WEFT_IMAGE, upon WEFT_BASE_IMAGE; where no registry has that one, upon one made here.
# WEFT_BUILD_NETWORK=host for engines whose containers reach no package registry by themselves.
set -eu
cd "$(dirname "$0")/.."
image=${WEFT_IMAGE:-weft:latest}
base=${WEFT_BASE_IMAGE:-node:20-bookworm-slim}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
docker version >"$log" 2>&1 || {
  echo "weft: no Docker engine answers: $(tail -n 1 "$log")" >&2
  exit 1
}
if ! docker image inspect "$base" >/dev/null 2>&1 && ! docker pull --quiet "$base" >"$log" 2>&1; then
  echo "no registry gives $base ($(tail -n 1 "$log")): making it here"
  sh compose/local-base.sh "$base"
fi
# A client of 23 or later without buildx cannot use BuildKit.
docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0
echo "building the image $image"
docker build --network "${WEFT_BUILD_NETWORK:-default}" --build-arg "BASE_IMAGE=$base" --tag "$image" . >"$log" 2>&1 || {
  tail -n 40 "$log" >&2
  echo 'weft: the image could not be built; the reason stands above' >&2
  exit 1
}
