#!/bin/sh
# A Docker engine of its own, for as long as standard input stays open: then it is stopped, with its containers, and its
# folder removed, however the one who started it ended. Prints the engine's process id.
#   engine.sh FOLDER host    in the host's network, of which it changes nothing: for builds, which need a registry
#   engine.sh FOLDER apart   in a network namespace of its own, which is gone with it: for containers with networks
# Whoever writes `keep` before closing keeps the folder, for the next engine.
set -eu
folder=$1 network=$2
PATH=$PATH:/usr/sbin:/sbin
# Where a stopped engine has left its bridge, one without a bridge would remove it.
bridge=none
[ "$network" = apart ] || [ ! -e /sys/class/net/docker0 ] || bridge=docker0
set -- dockerd --data-root "$folder/data" --exec-root "$folder/exec" --pidfile "$folder/dockerd.pid" \
  --host "unix://$folder/docker.sock" "--bridge=$bridge"
case $network in
  host) set -- "$@" --iptables=false --ip-forward=false --ip-masq=false ;;
  *) set -- unshare --net -- sh -c 'ip link set dev lo up && exec "$@"' sh "$@" ;;
esac
"$@" </dev/null >>"$folder/dockerd.log" 2>&1 &
daemon=$!
echo "$daemon"
word=$(cat)
kill -TERM "$daemon" 2>/dev/null || :
wait "$daemon" || :
# Innermost first.
for point in $(awk -v below="$folder/" 'index($2, below) == 1 { print $2 }' /proc/self/mounts | sort -r); do
  umount -l "$point" 2>/dev/null || :
done
[ "$word" = keep ] || rm -rf "$folder"
