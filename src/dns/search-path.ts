/**
 * How a pod's resolver makes names of a name: what it asks for, in order (resolv.conf(5): search, ndots), and, seen from
 * the server, which name somebody was after who asks for one. Pure but for the memory of paths that were worked out.
 */
import { formatAddress } from '../wire/address.ts';
import { type ClusterRecords, type PodEntry, podAddresses } from './cluster-records.ts';
import { canonicalName } from './name.ts';
import { parseResolvConf, podResolvConf, serversFor } from './resolv-conf.ts';

export interface SearchPath {
  nameservers: readonly string[];
  /** Lower case, no final dot. */
  search: readonly string[];
  ndots: number;
}

export interface Candidate {
  name: string;
  by: 'search' | 'as is';
}

export interface PodPath extends SearchPath {
  /** `namespace/name`. */
  pod: string;
}

/** Of glibc and musl. */
const DEFAULT_NDOTS = 1;
/** glibc counts no further. */
const MOST_NDOTS = 15;

/** A final dot says that the name is whole. */
export function candidatesOf(name: string, path: SearchPath): Candidate[] {
  const key = canonicalName(name);
  const asIs: Candidate = { name: key, by: 'as is' };
  if (name.endsWith('.')) return [asIs];
  const searched = path.search.map((suffix): Candidate => ({ name: suffix ? `${key}.${suffix}` : key, by: 'search' }));
  return dotsOf(key) >= path.ndots ? [asIs, ...searched] : [...searched, asIs];
}

/**
 * The name that a resolver with this path was after when it asks for `key`, as far as that can be told: the search
 * path's first entry is what it tries first, for names with few dots.
 */
export function searchedName(key: string, path: SearchPath): string | undefined {
  const [first = ''] = path.search;
  if (first === '' || !key.endsWith(`.${first}`)) return undefined;
  const name = key.slice(0, -first.length - 1);
  return name !== '' && dotsOf(name) < path.ndots ? name : undefined;
}

/** Which candidate a question is, for who reads what was asked; the longest suffix counts. */
export function stepOf(key: string, path: SearchPath): { name: string; step: number; of: number } | undefined {
  let best: { name: string; step: number; of: number } | undefined;
  for (const [i, suffix] of path.search.entries()) {
    if (suffix === '' || !key.endsWith(`.${suffix}`)) continue;
    const name = key.slice(0, -suffix.length - 1);
    if (name === '' || dotsOf(name) >= path.ndots) continue;
    if (!best || name.length < best.name.length) best = { name, step: i + 1, of: path.search.length + 1 };
  }
  return best;
}

function dotsOf(name: string): number {
  return name.split('.').length - 1;
}

export interface PathSettings {
  domain: string;
  clusterDns: readonly string[];
  hostResolvConf: string;
}

/** The search paths of a cluster's pods, each worked out when it is asked for first. */
export class PodPaths {
  readonly #settings: PathSettings;
  readonly #records: ClusterRecords;
  readonly #byAddress = new Map<string, PodEntry>();
  readonly #paths = new WeakMap<PodEntry, PodPath>();

  constructor(records: ClusterRecords, settings: PathSettings) {
    this.#records = records;
    this.#settings = settings;
    for (const pod of records.pods) {
      if (pod.hostNetwork) continue;
      for (const address of podAddresses(pod)) this.#byAddress.set(formatAddress(address), pod);
    }
  }

  /** Of the pod that has the address, if one has. */
  of(address: string): PodPath | undefined {
    const pod = this.#byAddress.get(address);
    return pod && this.#pathOf(pod);
  }

  /** Of `namespace/name`, or of the only pod called so. */
  named(name: string): PodPath | undefined {
    const matching = this.#records.pods.filter((pod) => pod.name === name || `${pod.namespace}/${pod.name}` === name);
    const [only] = matching;
    return only && matching.length === 1 ? this.#pathOf(only) : undefined;
  }

  #pathOf(pod: PodEntry): PodPath {
    const known = this.#paths.get(pod);
    if (known) return known;
    const { text } = podResolvConf({
      namespace: pod.namespace,
      hostNetwork: pod.hostNetwork ?? false,
      ...this.#settings,
      clusterDns: serversFor(podAddresses(pod).map(formatAddress), this.#settings.clusterDns),
      ...(pod.dnsPolicy ? { dnsPolicy: pod.dnsPolicy } : {}),
      ...(pod.dnsConfig ? { dnsConfig: pod.dnsConfig } : {}),
    });
    const path = { pod: `${pod.namespace}/${pod.name}`, ...searchPathOf(text) };
    this.#paths.set(pod, path);
    return path;
  }
}

/** Of a resolv.conf's text. */
export function searchPathOf(text: string): SearchPath {
  const { nameservers, search, options } = parseResolvConf(text);
  let ndots = DEFAULT_NDOTS;
  for (const option of options) {
    const value = /^ndots:(\d{1,9})$/.exec(option)?.[1];
    if (value !== undefined) ndots = Math.min(Number(value), MOST_NDOTS);
  }
  return { nameservers, search: search.map((path) => (path === '.' ? '' : path.toLowerCase())), ndots };
}
