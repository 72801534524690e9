#!/bin/sh
# `make compose`: builds the image, starts the hosts, waits until every agent is ready, and says what to try.
set -eu
cd "$(dirname "$0")/.."
sh compose/build-image.sh
sh compose/compose.sh up -d --no-build
tries=0
for host in $(sh compose/compose.sh ps --services 2>/dev/null | sort); do
  # A host beyond WEFT_HOSTS is a service that does not run.
  [ -n "$(sh compose/compose.sh ps -q "$host" 2>/dev/null)" ] || continue
  until sh compose/compose.sh exec -T "$host" /opt/weft/compose/health.sh 2>/dev/null; do
    tries=$((tries + 1))
    [ $tries -lt 60 ] || {
      sh compose/compose.sh logs --tail=20 "$host" >&2
      echo "weft: $host is not ready; the end of its log stands above" >&2
      exit 1
    }
    sleep 0.5
  done
  echo "✓ $host is ready"
done
cat <<'TRY'

Try (docker compose where docker-compose is missing):
  docker-compose exec hosta weft exec client-0 -- curl -s http://web/hostname
  docker-compose exec hosta weft exec client-0 -- traceroute -n 10.244.2.1
  docker-compose exec hosta weft status
  docker-compose restart hostb
  make compose-demo      tries all of it, failures too
  make compose-down      takes it down
TRY
