/**
 * From what a lab file and the command line say to one topology in which nothing is left open: hosts with addresses
 * and pod ranges, the underlay, the overlay. Pure. Second stage of a lab's way (file -> topology -> holder).
 */
import { dirname, isAbsolute, resolve } from 'node:path';
import type { Problem } from '../kube/problem.ts';
import { formatAddress4, parseAddress4 } from '../wire/address.ts';
import type { LabFile, LabFileHost } from './lab-file.ts';

export interface Topology {
  name: string;
  hosts: readonly LabHost[];
  underlay: Underlay;
  backend: 'vxlan' | 'host-gw';
  vni: number;
  /** Absolute paths of the manifests somebody gave; empty: the lab's own example pods. */
  manifests: readonly string[];
}

export interface LabHost {
  name: string;
  /** Dotted IPv4 on the underlay. */
  address: string;
  /** `10.244.1.0/24`. */
  podCidr: string;
}

export interface Underlay {
  mtu: number;
  /** `172.31.0.0/24`. */
  cidr: string;
  prefixBits: number;
  /** The underlay's router, its first address: the hosts' way out. */
  router: string;
}

/** What the command line says on top of the file. */
export interface TopologyOverrides {
  name?: string;
  hosts?: number;
  /** As typed, relative to the working directory. */
  manifests?: readonly string[];
}

const FIRST_HOST_OFFSET = 11;
export const MAX_HOSTS = 200;

/** `file` is the lab file's path, against which its manifests are resolved. */
export function resolveTopology(
  lab: LabFile,
  overrides: TopologyOverrides = {},
  file?: string,
): { topology: Topology; problems: Problem[] } {
  const problems: Problem[] = [];
  const underlay = resolveUnderlay(lab, file, problems);
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
      hosts: resolveHosts(entries, underlay, problems),
      underlay,
      backend: lab.backend ?? 'vxlan',
      vni: lab.vni ?? 1,
      manifests,
    },
    problems,
  };
}

function resolveUnderlay(lab: LabFile, file: string | undefined, problems: Problem[]): Underlay {
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
  };
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
