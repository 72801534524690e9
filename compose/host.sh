#!/bin/sh
# What a host's container runs: writes down the hosts that the mounted manifests do not name, and becomes the agent.
# Every container works out the same hosts from the same words, so that nothing has to be shared but manifests:
#   WEFT_HOSTS      how many hosts
#   WEFT_UNDERLAY   their network
#   WEFT_UNDERLAY6  the same in IPv6, where the network has it
#   WEFT_MANIFESTS  empty where the example's manifests are mounted: hosts without pods then get the example's two
set -eu
manifests=/etc/weft/manifests
generated=/etc/weft/hosts
if [ -n "$WEFT_MANIFESTS" ]; then examples=; else examples=--example-pods; fi
mkdir -p "$generated"
# A container that is started again has them already, unless the manifests changed meanwhile.
if [ ! -f "$generated/hosts.yaml" ] || [ -n "$(find "$manifests" -newer "$generated/hosts.yaml")" ]; then
  weft tool host-manifests --hosts "$WEFT_HOSTS" --cidr "$WEFT_UNDERLAY" --beside "$manifests" \
    ${WEFT_UNDERLAY6:+--cidr6 "$WEFT_UNDERLAY6"} $examples >"$generated/hosts.next"
  mv "$generated/hosts.next" "$generated/hosts.yaml"
fi
# V8's young generation is bounded as in a lab's agents.
exec node --max-semi-space-size=4 "$(command -v weft)" agent --manifests "$manifests" "$generated" "$@"
