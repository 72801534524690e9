/**
 * The host's kernel, told of services that are reached from outside: nftables that lead ports of the host's own
 * addresses into the pipeline (DNAT to an address behind weft0) and keep strangers from a LoadBalancer's address. The
 * texts alone; service-network.ts applies them.
 */
import { type AddressFamily, familyOf } from '../../control/address-family.ts';
import { INNER_PREFIXES, nodePortAddress } from '../../control/frontends.ts';
import type { HostServices } from '../../control/host-services.ts';
import { formatAddress, isV4 } from '../../wire/address.ts';
import { formatPrefix } from '../../wire/prefix.ts';

const SERVICE_TABLE = 'weft-services';

const NFT = {
  IPv4: { family: 'ip', address: 'ipv4_addr', loopback: '127.0.0.0/8' },
  IPv6: { family: 'ip6', address: 'ipv6_addr', loopback: '::1' },
} as const;

/** Takes the table away, whether it is there or not. */
export function withoutServiceRules(family: AddressFamily): string {
  const { family: name } = NFT[family];
  return `add table ${name} ${SERVICE_TABLE}\ndelete table ${name} ${SERVICE_TABLE}\n`;
}

/** Replaces the table whole, in one transaction. `gateway`: this host's, of the family. */
export function serviceRules(family: AddressFamily, services: HostServices, gateway: string, device: string): string {
  const { family: ip, address, loopback } = NFT[family];
  const nodePorts = services.nodePorts
    .filter((each) => each.family === family)
    .map(({ protocol, port }) => `${protocol.toLowerCase()} . ${port}`);
  const ownPorts = services.ownPorts
    .filter((each) => familyOf(each.address) === family)
    .map(({ address: own, protocol, port, to }) => {
      return `${formatAddress(own)} . ${protocol.toLowerCase()} . ${port} : ${formatAddress(to)}`;
    });
  return [
    withoutServiceRules(family).trimEnd(),
    `table ${ip} ${SERVICE_TABLE} {`,
    '  set node-ports {',
    '    type inet_proto . inet_service',
    ...elements(nodePorts),
    '  }',
    '  map own-ports {',
    `    type ${address} . inet_proto . inet_service : ${address}`,
    ...elements(ownPorts),
    '  }',
    '  chain lead {',
    `    dnat to ${ip} daddr . meta l4proto . th dport map @own-ports`,
    `    meta l4proto . th dport @node-ports dnat to ${formatAddress(nodePortAddress(family))}`,
    '  }',
    '  chain prerouting {',
    '    type nat hook prerouting priority -100; policy accept;',
    `    iifname != "${device}" fib daddr type local jump lead`,
    '  }',
    '  chain output {',
    '    type nat hook output priority -100; policy accept;',
    '    fib daddr type local jump lead',
    '  }',
    // Endpoints on other hosts know this one by its gateway alone.
    '  chain postrouting {',
    '    type nat hook postrouting priority 90; policy accept;',
    `    oifname "${device}" ${ip} daddr ${INNER_PREFIXES[family]} fib saddr type local snat to ${gateway}`,
    '  }',
    // Before connection tracking turns replies for loopback back: nobody else's are let through.
    '  chain loopback {',
    '    type filter hook prerouting priority -300; policy accept;',
    `    iifname "${device}" ${ip} daddr ${loopback} drop`,
    '  }',
    '  chain sources {',
    '    type filter hook prerouting priority -150; policy accept;',
    ...sourceRules(family, services, device),
    '  }',
    '}',
    '',
  ].join('\n');
}

function elements(list: readonly string[]): string[] {
  return list.length === 0 ? [] : [`    elements = { ${[...new Set(list)].sort().join(', ')} }`];
}

function sourceRules(family: AddressFamily, services: HostServices, device: string): string[] {
  const { family: ip } = NFT[family];
  return services.sources
    .filter(({ address }) => familyOf(address) === family)
    .map(({ address, ranges, ports }) => {
      // Ranges of the other family alone let nobody of this one in.
      const allowed = ranges.filter((range) => isV4(range.address) === (family === 'IPv4')).map(formatPrefix);
      const others = allowed.length === 0 ? '' : ` ${ip} saddr != { ${[...new Set(allowed)].join(', ')} }`;
      const at = ports?.map(({ protocol, port }) => `${protocol.toLowerCase()} . ${port}`).sort();
      const only = at === undefined ? '' : ` meta l4proto . th dport { ${at.join(', ')} }`;
      return `    iifname != "${device}" ${ip} daddr ${formatAddress(address)}${only}${others} drop`;
    });
}
