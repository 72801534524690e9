#!/bin/sh
# Installs the programs that `make bench`, `make bench-services` and `make bench-dns` show Weft beside, as Debian
# packages them; none of them is started. Where that is not possible it says what to install. The benches run without
# any of them, and say which are missing.
set -eu
peers='tincd:tinc openvpn:openvpn vtund:vtun nebula:nebula wireguard-go:wireguard-go supernode:n2n socat:socat fastd:fastd
haproxy:haproxy nginx:nginx /usr/lib/nginx/modules/ngx_stream_module.so:libnginx-mod-stream
dnsperf:dnsperf dnsmasq:dnsmasq-base unbound:unbound knotd:knot'

PATH="$PATH:/usr/sbin:/sbin"
need=
for peer in $peers; do
  # A path is a file of a package that brings no program.
  { case $peer in /*) [ -e "${peer%%:*}" ] ;; *) command -v "${peer%%:*}" >/dev/null 2>&1 ;; esac } || need="$need ${peer#*:}"
done
[ -n "$need" ] || { echo "every peer is installed"; exit 0; }
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "weft: missing peers:$need. On Debian or Ubuntu install them with: sudo apt-get install --no-install-recommends$need" >&2
  exit 1
fi
log=$(mktemp)
# A package that starts a service when it is installed must not: https://www.debian.org/doc/debian-policy/ch-opersys.html
guard=
[ -e /usr/sbin/policy-rc.d ] || {
  guard=/usr/sbin/policy-rc.d
  printf '#!/bin/sh\nexit 101\n' >$guard
  chmod +x $guard
}
trap 'rm -f "$log" $guard' EXIT
export DEBIAN_FRONTEND=noninteractive
echo "installing peers:$need"
failed=
apt-get update -qq >"$log" 2>&1 </dev/null || true
for package in $need; do
  # One by one: a package that this distribution lacks does not keep the others away.
  apt-get install -y -qq --no-install-recommends "$package" >"$log" 2>&1 </dev/null || {
    tail -n 2 "$log" >&2
    failed="$failed $package"
  }
done
[ -z "$failed" ] || { echo "weft: apt-get could not install$failed; the bench names them as missing" >&2; exit 1; }
