/** Who takes part, in the order of the report: ourselves, the kernel, other programs, those that encrypt last. */
import type { Contender } from '../contest.ts';
import { DirectVeth } from './direct-veth.ts';
import { Fastd } from './fastd.ts';
import { Haproxy } from './haproxy.ts';
import { KernelVxlan } from './kernel-vxlan.ts';
import { N2n } from './n2n.ts';
import { Nebula } from './nebula.ts';
import { NginxStream } from './nginx-stream.ts';
import { OpenVpn } from './openvpn.ts';
import type { NetworkOptions } from './routed-network.ts';
import { Socat } from './socat.ts';
import { Tinc } from './tinc.ts';
import { Vtun } from './vtun.ts';
import { WeftAgents } from './weft-agents.ts';
import { WireguardGo } from './wireguard-go.ts';

export const OWN = 'weft';
export const KERNEL = 'kernel-vxlan';
export const DIRECT = 'direct-veth';
/** Another version of ourselves, by --against. */
export const BEFORE = 'before';

export function everyContender(): Contender[] {
  return [
    weft(),
    new WeftAgents({ name: 'weft-udp-gso', title: 'Weft, udp-gso', offload: 'udp-gso', backend: 'vxlan' }),
    new WeftAgents({ name: 'weft-batched', title: 'Weft, batched', offload: 'batched', backend: 'vxlan' }),
    new WeftAgents({ name: 'weft-host-gw', title: 'Weft, host-gw', offload: 'auto', backend: 'host-gw' }),
    new KernelVxlan(),
    new DirectVeth(),
    new Fastd(),
    new OpenVpn('none'),
    new Socat(),
    new Tinc(),
    new Vtun(),
    new N2n(),
    new Nebula(),
    new OpenVpn('AES-128-GCM'),
    new OpenVpn('AES-256-GCM'),
    new WireguardGo(),
  ];
}

/** The two that every variation of the underlay is about. */
export function mainContenders(underlayMtu?: number): Contender[] {
  const options = underlayMtu === undefined ? {} : { underlayMtu };
  return [weft(options), new KernelVxlan(options)];
}

/** Services of three endpoints: what carries packets is ours, or the kernel's VXLAN with something in front of it. */
export function serviceContenders(): Contender[] {
  const options = { endpoints: 3 };
  const modes = [
    ['weft-ipvs', 'Weft, ipvs rr', 'ipvs:rr'],
    ['weft-iptables', 'Weft, iptables', 'iptables'],
    ['weft-userspace', 'Weft, userspace', 'userspace'],
  ] as const;
  return [
    weft(options),
    ...modes.map(([name, title, proxyMode]) => {
      return new WeftAgents({ name, title, offload: 'auto', backend: 'vxlan', proxyMode }, options);
    }),
    new KernelVxlan(options),
    new Haproxy(options),
    new NginxStream(options),
  ];
}

/** The Weft that was built in another checkout. */
export function weftOf(checkout: string, title: string, options: NetworkOptions = {}): WeftAgents {
  const program = `${checkout}/dist/src/cli/main.js`;
  return new WeftAgents({ name: BEFORE, title, offload: 'auto', backend: 'vxlan', program }, options);
}

function weft(options: NetworkOptions = {}): WeftAgents {
  return new WeftAgents({ name: OWN, title: 'Weft', offload: 'auto', backend: 'vxlan' }, options);
}
