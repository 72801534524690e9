#!/bin/sh
# Says in one line which system packages are missing and how to install them.
#   check-tools.sh build|run   what building and running need: ends non-zero when something is missing
#   check-tools.sh test|bench  also what tests use: installed at once when root with apt-get, else only said
set -eu
purpose=$1

# command:package on apt, dnf, pacman and apk; one line per command
build_tools='node:nodejs:nodejs:nodejs:nodejs npm:npm:npm:npm:npm g++:g++:gcc-c++:gcc:g++ python3:python3:python3:python:python3'
run_tools='ip:iproute2:iproute:iproute2:iproute2'
test_tools='ping:iputils-ping:iputils:iputils:iputils traceroute:traceroute:traceroute:traceroute:traceroute
iperf3:iperf3:iperf3:iperf3:iperf3 tcpdump:tcpdump:tcpdump:tcpdump:tcpdump dig:dnsutils:bind-utils:bind:bind-tools
nft:nftables:nftables:nftables:nftables curl:curl:curl:curl:curl ethtool:ethtool:ethtool:ethtool:ethtool
etcd:etcd-server:etcd:etcd:etcd'

PATH="$PATH:/usr/sbin:/sbin"
if command -v apt-get >/dev/null 2>&1; then column=2 install='apt-get install -y'
elif command -v dnf >/dev/null 2>&1; then column=3 install='dnf install -y'
elif command -v pacman >/dev/null 2>&1; then column=4 install='pacman -S --noconfirm'
elif command -v apk >/dev/null 2>&1; then column=5 install='apk add'
else column=2 install='your package manager: install'; fi
[ "$(id -u)" = 0 ] || install="sudo $install"

missing_packages() {
  for tool in "$@"; do
    command -v "${tool%%:*}" >/dev/null 2>&1 || printf '%s ' "$(echo "$tool" | cut -d: -f$column)"
  done
}

# shellcheck disable=SC2086
need=$(missing_packages $build_tools $run_tools)
if [ -n "$need" ]; then
  echo "weft: missing system packages: ${need% }. Install them with: $install ${need% }" >&2
  exit 1
fi
node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' || {
  echo "weft: Node.js $(node --version) is too old. Install version 20 or newer: https://nodejs.org/en/download" >&2
  exit 1
}
case $purpose in build | run) exit 0 ;; esac

# shellcheck disable=SC2086
need=$(missing_packages $test_tools)
[ -n "$need" ] || exit 0
if [ "$(id -u)" = 0 ] && [ $column = 2 ]; then
  echo "installing what the tests use: ${need% }"
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  # iperf3 asks whether to run as a daemon, tcpdump pulls little: no recommended packages, no questions.
  # shellcheck disable=SC2086
  { apt-get install -y -qq --no-install-recommends $need || { apt-get update -qq &&
    apt-get install -y -qq --no-install-recommends $need; }; } >"$log" 2>&1 </dev/null || {
    tail -n 5 "$log" >&2
    echo "weft: apt-get could not install ${need% }; tests that need them are skipped and say so" >&2
  }
  rm -f "$log"
else
  echo "weft: missing: ${need% }; tests that need them are skipped. Install them with: $install ${need% }" >&2
fi
