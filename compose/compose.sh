#!/bin/sh
# Compose v2 or docker-compose 1.29, whichever is there, in the repository's root.
set -eu
cd "$(dirname "$0")/.."
command -v docker >/dev/null 2>&1 || {
  echo 'weft: docker is missing. Install it with: apt-get install docker.io docker-compose' >&2
  exit 1
}
if docker compose version >/dev/null 2>&1; then exec docker compose "$@"; fi
if command -v docker-compose >/dev/null 2>&1; then exec docker-compose "$@"; fi
echo 'weft: docker-compose is missing. Install it with: apt-get install docker-compose' >&2
exit 1
