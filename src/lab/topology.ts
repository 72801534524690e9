/**
 * From what a lab file and the command line say to one topology in which nothing is left open: hosts with addresses
 * and pod ranges, the underlay, the overlay. Pure. Second stage of a lab's way (file -> topology -> holder).
 */
import { dirname, isAbsolute, resolve } from 'node:path';
import type { Problem } from '../kube/problem.ts';
import { formatAddress, formatAddress4, parseAddress, parseAddress4 } from '../wire/address.ts';
import type { LabFile, LabFileHost } from './lab-file.ts';

export interface Topology {
  name: string;
  hosts: readonly LabHost[];
  underlay: Underlay;
  backend: 'vxlan' | 'host-gw';
  vni: number;
  /** Absolute paths of the manifests somebody gave; empty: the lab's own example pods. */
  manifests: readonly string[];
  /** Absent: agents read the manifests themselves. */
  api?: LabApi;
  /** Options of every agent beside those that follow from the rest; `true` for those without a value. */
  agent: Readonly<Record<string, string>>;
}

/** The API server of a lab, which agents follow and which applies the manifests. */
export interface LabApi {
  store: 'lmdb' | 'etcd';
  /** Where it is reached from outside, on loopback. */
  outerPort: number;
  /** The etcd that was there before the lab; absent: one of the lab's own. */
  etcd?: GivenEtcd;
}

export interface GivenEtcd {
  /** `https://10.0.0.1:2379`, all members. */
  servers: readonly string[];
  /** Where the lab's keys stand in it. */
  prefix: string;
  /** For which of these the lab keeps a file. */
  files: readonly EtcdFile[];
}

/** As the API server's options are called: `--etcd-cafile`. */
export type EtcdFile = 'cafile' | 'certfile' | 'keyfile';

export interface LabHost {
  name: string;
  /** On the underlay: IPv4, or IPv6 where the underlay is that alone. */
  address: string;
  /** The IPv6 one beside it, on an underlay of both families. */
  address6?: string;
  /** `10.244.1.0/24`. */
  podCidr: string;
  /** `fd00:10:244:1::/64`; absent where the lab has no IPv6. */
  podCidr6?: string;
}

export type UnderlayFamily = 'dual' | 'ipv4' | 'ipv6';

export interface Underlay {
  mtu: number;
  /** `172.31.0.0/24`. */
  cidr: string;
  prefixBits: number;
  /** The underlay's router, its first address: the hosts' way out. */
  router: string;
  /** The same in IPv6, `fd00:172:31::/64`; absent on an underlay of IPv4 alone. */
  cidr6?: string;
  router6?: string;
  /** Which of the two ranges hosts have addresses in. */
  family: UnderlayFamily;
}

/** What the command line says on top of the file. */
export interface TopologyOverrides {
  name?: string;
  hosts?: number;
  /** As typed, relative to the working directory. */
  manifests?: readonly string[];
  /** False where the machine has no IPv6. */
  ipv6?: boolean;
}

const DEFAULT_CIDR6 = 'fd00:172:31::/64';
/** Of every host's IPv6 podCIDR, which ends like its IPv4 one. */
const POD_NETWORK6 = 'fd00:10:244';
const FIRST_HOST_OFFSET = 11;
export const MAX_HOSTS = 200;

/** `file` is the lab file's path, against which its manifests are resolved. */
export function resolveTopology(
  lab: LabFile,
  overrides: TopologyOverrides = {},
  file?: string,
): { topology: Topology; problems: Problem[] } {
  const problems: Problem[] = [];
  const ipv6 = overrides.ipv6 !== false;
  const underlay = resolveUnderlay(lab, file, ipv6, problems);
  if (overrides.hosts !== undefined && lab.hosts !== undefined) {
    problems.push(problem(file ?? '--hosts', '--hosts does not go with a lab file that names its hosts'));
  }
  const count = overrides.hosts ?? 3;
  const entries: LabFileHost[] =
    lab.hosts ?? Array.from({ length: count }, (_, i) => ({ name: `host${letters(i)}`, place: '--hosts' }));
  if (entries.length > MAX_HOSTS) problems.push(problem(file ?? '--hosts', `a lab has at most ${MAX_HOSTS} hosts`));
  const base = file === undefined ? process.cwd() : dirname(resolve(file));
  const manifests = [
    ...(lab.manifests ?? []).map((path) => (isAbsolute(path) ? path : resolve(base, path))),
    ...(overrides.manifests ?? []).map((path) => resolve(path)),
  ];
  return {
    topology: {
      name: overrides.name ?? lab.name ?? 'default',
      hosts: withIpv6(resolveHosts(entries, underlay, problems), entries, underlay, ipv6, problems),
      underlay,
      backend: lab.backend ?? 'vxlan',
      vni: lab.vni ?? 1,
      manifests,
      agent: lab.agent ?? {},
    },
    problems,
  };
}

function resolveUnderlay(lab: LabFile, file: string | undefined, ipv6: boolean, problems: Problem[]): Underlay {
  const cidr = lab.underlay?.cidr ?? '172.31.0.0/24';
  const [address = '', bits = '24'] = cidr.split('/');
  const prefixBits = Number(bits);
  const network = networkOf(parseAddress4(address) ?? 0, prefixBits);
  if (prefixBits > 29) {
    problems.push(problem(file ?? 'lab', `underlay.cidr: ${cidr} is too small for hosts and their router`));
  }
  return {
    mtu: lab.underlay?.mtu ?? 1500,
    cidr: `${formatAddress4(network)}/${prefixBits}`,
    prefixBits,
    router: formatAddress4(network + 1),
    ...underlay6(lab, file, ipv6, problems),
  };
}

function underlay6(
  lab: LabFile,
  file: string | undefined,
  ipv6: boolean,
  problems: Problem[],
): Pick<Underlay, 'family' | 'cidr6' | 'router6'> {
  const wanted = lab.underlay?.family;
  if (wanted === 'ipv6' && !ipv6) problems.push(problem(file ?? 'lab', 'underlay.family: this machine has no IPv6'));
  const family = ipv6 ? (wanted ?? 'dual') : 'ipv4';
  if (family === 'ipv4') return { family };
  const cidr6 = lab.underlay?.cidr6 ?? DEFAULT_CIDR6;
  return { family, cidr6, router6: hostAddress6(cidr6, 1) };
}

/** Reads like the IPv4 one: `.11` of it is `::11`. */
function hostAddress6(cidr6: string, offset: number): string {
  const [a, b, c, d] = parseAddress(cidr6.split('/')[0] ?? '') ?? [0, 0, 0, 0];
  return formatAddress([a, b, c, (d | Number.parseInt(String(offset), 16)) >>> 0]);
}

/** The hosts with their IPv6 addresses and ranges, after those of IPv4. */
function withIpv6(
  hosts: readonly LabHost[],
  entries: readonly LabFileHost[],
  underlay: Underlay,
  ipv6: boolean,
  problems: Problem[],
): readonly LabHost[] {
  if (!ipv6) return hosts;
  const network = parseAddress4(underlay.cidr.split('/')[0] ?? '') ?? 0;
  const taken = new Set(entries.flatMap((entry) => entry.podCIDR6 ?? []));
  const addresses = new Map<string, string>([[underlay.router6 ?? '', "the underlay's router"]]);
  return hosts.map((host, i) => {
    const { podCIDR6, address6: given, place = 'lab' } = entries[i] ?? {};
    const podCidr6 = podCIDR6 ?? freeRange6(host.podCidr, taken);
    taken.add(podCidr6);
    if (underlay.cidr6 === undefined) return { ...host, podCidr6 };
    const offset = ((parseAddress4(host.address) ?? 0) - network) >>> 0;
    const address6 = given ?? hostAddress6(underlay.cidr6, offset);
    const owner = addresses.get(address6);
    // One that follows from the IPv4 address is somebody's only where that one is.
    if (owner && (given !== undefined || !problems.some((each) => each.place === place)))
      problems.push(problem(place, `host ${host.name}: address ${address6} is that of ${owner}`));
    addresses.set(address6, `host ${host.name}`);
    return underlay.family === 'ipv6' ? { ...host, address: address6, podCidr6 } : { ...host, address6, podCidr6 };
  });
}

/** fd00:10:244:N::/64 beside 10.244.N.0/24, else the next that is free. */
function freeRange6(podCidr: string, taken: ReadonlySet<string>): string {
  const third = /^10\.244\.(\d+)\./.exec(podCidr)?.[1];
  const range = (n: number) => `${POD_NETWORK6}:${n.toString(16)}::/64`;
  let n = third === undefined ? 1 : Number(third);
  while (taken.has(range(n))) n = (n % 255) + 1;
  return range(n);
}

function resolveHosts(entries: readonly LabFileHost[], underlay: Underlay, problems: Problem[]): LabHost[] {
  const network = parseAddress4(underlay.cidr.split('/')[0] ?? '') ?? 0;
  const size = 2 ** (32 - underlay.prefixBits);
  const first = size > FIRST_HOST_OFFSET + entries.length ? FIRST_HOST_OFFSET : 2;
  const taken = new Map<string, string>([[underlay.router, "the underlay's router"]]);
  for (const { name, address, place } of entries) {
    if (address === undefined) continue;
    const offset = ((parseAddress4(address) ?? 0) >>> 0) - network;
    const owner = taken.get(address);
    if (owner !== undefined) problems.push(problem(place, `host ${name}: address ${address} is that of ${owner}`));
    else if (offset <= 0 || offset >= size - 1) {
      problems.push(problem(place, `host ${name}: address ${address} is not a host's within ${underlay.cidr}`));
    }
    taken.set(address, `host ${name}`);
  }
  const podCidrs = new Set(entries.flatMap((entry) => entry.podCIDR ?? []));
  let nextOffset = first;
  let nextRange = 1;
  return entries.map(({ name, address, podCIDR, place }) => {
    let own = address;
    while (own === undefined && nextOffset < size - 1) {
      const candidate = formatAddress4(network + nextOffset++);
      if (!taken.has(candidate)) own = candidate;
    }
    if (own === undefined) {
      problems.push(problem(place, `host ${name}: no address is left in ${underlay.cidr}`));
      own = underlay.router;
    }
    while (podCIDR === undefined && podCidrs.has(`10.244.${nextRange}.0/24`)) nextRange++;
    return { name, address: own, podCidr: podCIDR ?? `10.244.${nextRange++}.0/24` };
  });
}

function networkOf(address: number, prefixBits: number): number {
  return prefixBits === 0 ? 0 : (address & (0xffffffff << (32 - prefixBits))) >>> 0;
}

/** a, b, … z, aa, ab, … */
function letters(index: number): string {
  const letter = String.fromCharCode(97 + (index % 26));
  return index < 26 ? letter : letters(Math.floor(index / 26) - 1) + letter;
}

function problem(place: string, message: string): Problem {
  return { place, message, severity: 'error' };
}
