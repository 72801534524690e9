#!/bin/sh
# `make compose-down`: containers and network of every host that WEFT_HOSTS may have switched on. The image stays.
set -eu
cd "$(dirname "$0")/.."
COMPOSE_PROFILES=hosts-8 sh compose/compose.sh down --volumes --remove-orphans
