/**
 * Node ports: the ones written down, the others out of the range by hash of the service's name and port, so that every
 * host opens the same without asking anybody (k8s.io/kubernetes pkg/registry/core/service/portallocator). The health
 * check of a LoadBalancer with externalTrafficPolicy Local takes its port out of the same range.
 */
import type { Service } from '../kube/objects.ts';
import { allocate } from './address-pool.ts';
import { carriedProtocol } from './carried-protocol.ts';
import type { ProblemList } from './problem-list.ts';

export const DEFAULT_NODE_PORTS = '30000-32767';

export interface PortRange {
  first: number;
  last: number;
}

export interface NodePorts {
  /** By `namespace/name protocol/port`. */
  ports: ReadonlyMap<string, number>;
  /** TCP, by `namespace/name`. */
  healthChecks: ReadonlyMap<string, number>;
}

/** `30000-32767`; undefined for what is no range of ports. */
export function parsePortRange(text: string): PortRange | undefined {
  const [, low, high] = /^(\d{1,5})-(\d{1,5})$/.exec(text) ?? [];
  const range = { first: Number(low), last: Number(high) };
  return range.first >= 1 && range.last <= 65_535 && range.first <= range.last ? range : undefined;
}

export function portKey(service: string, protocol: string, port: number): string {
  return `${service} ${protocol}/${port}`;
}

/** `keys`: the services that are served, in order of name: of two that want one port the first has it. */
export function assignNodePorts(
  services: ReadonlyMap<string, Service>,
  keys: readonly string[],
  range: PortRange,
  problems: ProblemList,
): NodePorts {
  const ports = new Map<string, number>();
  const healthChecks = new Map<string, number>();
  const owners = { TCP: new Map<number, string>(), UDP: new Map<number, string>() };
  const wishes: PortWish[] = [];
  for (const key of keys) {
    const service = services.get(key) as Service;
    for (const wish of portWishes(key, service)) {
      if (wish.written === undefined) {
        wishes.push(wish);
        continue;
      }
      const fault = faultOf(wish.written, wish.protocol, range, owners[wish.protocol].get(wish.written), problems);
      if (fault) problems.error(`Service ${key}`, `${wish.field}: ${fault}: not opened`);
      else give(wish, wish.written);
    }
  }
  for (const protocol of ['TCP', 'UDP'] as const) {
    const open = wishes.filter((wish) => wish.protocol === protocol);
    const given = allocate(
      { first: range.first, count: range.last - range.first + 1 },
      open.map((wish) => wish.name),
      new Set(owners[protocol].keys()),
    );
    for (const wish of open) {
      const port = given.get(wish.name);
      if (port !== undefined) give(wish, port);
      else problems.error(`Service ${wish.key}`, `${wish.field}: no port is free in ${textOf(range)}: not opened`);
    }
  }
  return { ports, healthChecks };

  function give(wish: PortWish, port: number): void {
    owners[wish.protocol].set(port, `Service ${wish.key}`);
    if (wish.port === undefined) healthChecks.set(wish.key, port);
    else ports.set(portKey(wish.key, wish.protocol, wish.port), port);
  }
}

/** A node port that a service is to have. */
export interface PortWish {
  /** `namespace/name`. */
  key: string;
  /** What is hashed: the protocol is left out, so that TCP and UDP of one port get one node port. */
  name: string;
  field: string;
  protocol: 'TCP' | 'UDP';
  /** The service's port, and its place among them; absent for the health check. */
  port?: number;
  index?: number;
  written?: number;
}

/** `key`: `namespace/name`. */
export function portWishes(key: string, { spec }: Service): PortWish[] {
  if (spec.type !== 'NodePort' && spec.type !== 'LoadBalancer') return [];
  const all = spec.type === 'NodePort' || spec.allocateLoadBalancerNodePorts !== false;
  const out: PortWish[] = [];
  (spec.ports ?? []).forEach(({ port, protocol: written, nodePort }, i) => {
    const protocol = carriedProtocol(written);
    if (!protocol || (!nodePort && !all)) return;
    const wish = { key, name: `${key}:${port}`, field: `spec.ports[${i}].nodePort`, protocol, port, index: i };
    out.push(nodePort ? { ...wish, written: nodePort } : wish);
  });
  if (spec.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local') {
    const wish: PortWish = { key, name: `${key}:health`, field: 'spec.healthCheckNodePort', protocol: 'TCP' };
    out.push(spec.healthCheckNodePort ? { ...wish, written: spec.healthCheckNodePort } : wish);
  }
  return out;
}

function faultOf(
  port: number,
  protocol: string,
  range: PortRange,
  owner: string | undefined,
  problems: ProblemList,
): string | undefined {
  if (owner !== undefined) return `${port}/${protocol} is already that of ${problems.whereIs(owner)}`;
  return portFault(port, range);
}

/** Why a port can be nobody's node port. */
export function portFault(port: number, range: PortRange): string | undefined {
  if (port >= range.first && port <= range.last) return undefined;
  return `${port} is outside the node ports ${textOf(range)} (--service-node-port-range)`;
}

function textOf(range: PortRange): string {
  return `${range.first}-${range.last}`;
}
