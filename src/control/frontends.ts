/**
 * Where a service answers on one host, beside its cluster addresses: node ports, LoadBalancer addresses, externalIPs.
 *
 *   outside ──▶ kernel: DNAT nodeIP:nodePort ──▶ 169.254.96.1:nodePort ─┐
 *   outside ──▶ kernel: route LoadBalancer IP ──────────────────────────┤
 *   outside ──▶ kernel: DNAT own externalIP:port ──▶ 169.254.96.N:port ─┼─▶ weft0 ─▶ pipeline
 *   pod ───────────────────────── to any of these addresses as it is ───┘
 *
 * The kernel gives its own addresses to nobody, so what comes for one of them from outside is led to an address that no
 * host has; for pods the pipeline takes the address itself, of which all other ports stay the host's.
 */
import { type Words, wordsFrom4 } from '../wire/address.ts';
import { type AddressFamily, familyOf } from './address-family.ts';
import type { ClusterModel, ClusterNode, ClusterService, ClusterServicePort } from './model.ts';

/** Where node ports lead inside: link-local, never seen on a network (RFC 3927). */
const INNER_FIRST_4 = 0xa9fe6001;
/** fd00:77:6566:7400::1 (RFC 4193). */
const INNER_FIRST_6: Words = [0xfd000077, 0x65667400, 0, 1];
/** The ranges that hold them, for routes. */
export const INNER_PREFIXES: Readonly<Record<AddressFamily, string>> = {
  IPv4: '169.254.96.0/24',
  IPv6: 'fd00:77:6566:7400::/112',
};
/** Own addresses of a host that can be somebody's externalIP. */
const MOST_OWN = 200;

export interface Frontend {
  /** Tells it from the others of its service port. */
  name: string;
  address: Words;
  port: number;
  /** The address is also a host's own. */
  shared: boolean;
}

/** What the hosts' addresses are, as one of them sees it. */
export class FrontendPlace {
  /** This host's own, in the order of its Node. */
  readonly own: readonly Words[];
  readonly families: readonly AddressFamily[];
  readonly #nodes: ReadonlySet<string>;
  readonly #ownKeys: readonly string[];

  constructor(model: Pick<ClusterModel, 'nodes'>, self: ClusterNode) {
    this.own = self.addresses.slice(0, MOST_OWN);
    this.families = self.gateway6 ? ['IPv4', 'IPv6'] : ['IPv4'];
    this.#nodes = new Set([...model.nodes.values()].flatMap((node) => node.addresses.map(String)));
    this.#ownKeys = this.own.map(String);
  }

  isNodes(address: Words): boolean {
    return this.#nodes.has(String(address));
  }

  /** Where what comes from outside for one of our own addresses is led; undefined for any other. */
  innerOf(address: Words): Words | undefined {
    const at = this.#ownKeys.indexOf(String(address));
    return at < 0 ? undefined : inner(familyOf(address), at + 1);
  }
}

/** Where node ports of one family lead inside. */
export function nodePortAddress(family: AddressFamily): Words {
  return inner(family, 0);
}

/** Beside the cluster addresses; nothing for most services. */
export function outsideFrontends(
  service: ClusterService,
  port: ClusterServicePort,
  place: FrontendPlace,
): readonly Frontend[] {
  if (port.nodePort === undefined && service.externalIps.length + service.loadBalancerIps.length === 0) return NONE;
  const out: Frontend[] = [];
  if (port.nodePort !== undefined) {
    for (const family of place.families) {
      if (!service.families.includes(family)) continue;
      const address = nodePortAddress(family);
      out.push({ name: `node ${family}`, address, port: port.nodePort, shared: false });
    }
    for (const address of place.own) {
      if (!service.families.includes(familyOf(address))) continue;
      out.push({ name: `node ${address}`, address, port: port.nodePort, shared: true });
    }
  }
  for (const address of [...service.loadBalancerIps, ...service.externalIps]) {
    if (!service.families.includes(familyOf(address))) continue;
    out.push({ name: `address ${address}`, address, port: port.port, shared: place.isNodes(address) });
    const inside = place.innerOf(address);
    if (inside) out.push({ name: `inner ${address}`, address: inside, port: port.port, shared: false });
  }
  return out;
}

const NONE: readonly Frontend[] = [];

function inner(family: AddressFamily, offset: number): Words {
  const [a, b, c, d] = INNER_FIRST_6;
  return family === 'IPv4' ? wordsFrom4(INNER_FIRST_4 + offset) : [a, b, c, d + offset];
}
