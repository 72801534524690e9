/**
 * The addresses at which services answer outside of the cluster's own ranges: externalIPs, and those of LoadBalancers,
 * written down or out of the agents' pool by hash of the service's name, so that every host comes to the same.
 */
import type { Service } from '../kube/objects.ts';
import { isHostAddress, UNUSABLE } from '../kube/rule-checks.ts';
import { isV4, parseAddress, type Words } from '../wire/address.ts';
import { type Prefix, parsePrefix, prefixContains } from '../wire/prefix.ts';
import type { AddressFamily } from './address-family.ts';
import { allocate } from './address-pool.ts';
import { type LoadBalancerPool, poolAddress, poolOffsets, poolSize } from './load-balancer-pool.ts';
import type { ProblemList } from './problem-list.ts';

export interface ExternalAddresses {
  externalIps: readonly Words[];
  loadBalancerIps: readonly Words[];
  /** Who may use the load balancer's addresses from outside; empty: everybody. */
  loadBalancerSources: readonly Prefix[];
}

export interface AddressSurroundings {
  pool: LoadBalancerPool;
  /** Ranges of pods and services: nothing of them can be an address outside. */
  inner: readonly { text: string; prefix: Prefix }[];
  /** Addresses of nodes: never given out. */
  nodes: readonly Words[];
}

const NONE: ExternalAddresses = { externalIps: [], loadBalancerIps: [], loadBalancerSources: [] };

/** `served`: the services that are, with their families; by `namespace/name`. */
export function assignExternalAddresses(
  services: ReadonlyMap<string, Service>,
  served: ReadonlyMap<string, { families: readonly AddressFamily[] }>,
  around: AddressSurroundings,
  problems: ProblemList,
): Map<string, ExternalAddresses> {
  const out = new Map<string, ExternalAddresses>();
  const claims = new Claims(around, problems);
  const wanting: { v4: string[]; v6: string[] } = { v4: [], v6: [] };
  const balancers: string[] = [];
  // What is written goes before what is given, whatever the names.
  for (const key of [...served.keys()].sort()) {
    const service = services.get(key) as Service;
    const { spec } = service;
    if (spec.type !== 'LoadBalancer' && !spec.externalIPs) continue;
    if (spec.type === 'ExternalName' || spec.clusterIP === 'None') continue;
    const title = `Service ${key}`;
    const externalIps = (spec.externalIPs ?? [])
      .map((text, i) => claims.share(title, `spec.externalIPs[${i}]`, text, service))
      .filter((address) => address !== undefined);
    if (externalIps.length > 0) out.set(key, { ...NONE, externalIps });
    if (spec.type !== 'LoadBalancer') continue;
    const written = writtenAddresses(service)
      .map(({ field, text }) => claims.take(title, field, text, service))
      .filter((address) => address !== undefined);
    const sources = (spec.loadBalancerSourceRanges ?? [])
      .map((text) => parsePrefix(text))
      .filter((p) => p !== undefined);
    out.set(key, { externalIps, loadBalancerIps: written, loadBalancerSources: sources });
    if (written.length > 0) continue;
    if (spec.loadBalancerClass) {
      const message = `spec.loadBalancerClass: ${spec.loadBalancerClass} is none of ours: no address is given`;
      problems.warning(title, message);
      continue;
    }
    balancers.push(key);
    const families = served.get(key)?.families ?? [];
    if (families.includes('IPv4')) wanting.v4.push(key);
    if (families.includes('IPv6')) wanting.v6.push(key);
  }
  for (const family of ['v4', 'v6'] as const) {
    const spans = around.pool[family];
    const given = allocate({ first: 0, count: poolSize(spans) }, wanting[family], claims.offsets(family));
    for (const [key, offset] of given) {
      const known = out.get(key) as ExternalAddresses;
      out.set(key, { ...known, loadBalancerIps: [...known.loadBalancerIps, poolAddress(spans, offset)] });
    }
  }
  for (const key of balancers) {
    if (out.get(key)?.loadBalancerIps.length) continue;
    const isEmpty = poolSize(around.pool.v4) + poolSize(around.pool.v6) === 0;
    const remedy = 'give every agent addresses with --load-balancer-pool, or write status.loadBalancer.ingress';
    const why = isEmpty ? `there is no pool: ${remedy}` : 'no address of its families is free in --load-balancer-pool';
    problems.warning(`Service ${key}`, `spec.type: LoadBalancer has no address, for ${why}`);
  }
  return out;
}

/** What somebody says the addresses are: the status, else the wish in the spec. */
function writtenAddresses({ spec, status }: Service): { field: string; text: string }[] {
  const ingress = (status?.loadBalancer?.ingress ?? []).flatMap(({ ip, ipMode }, i) =>
    ip && ipMode !== 'Proxy' ? [{ field: `status.loadBalancer.ingress[${i}].ip`, text: ip }] : [],
  );
  if (ingress.length > 0) return ingress;
  return spec.loadBalancerIP ? [{ field: 'spec.loadBalancerIP', text: spec.loadBalancerIP }] : [];
}

/** Who has which address, and which port of it. */
class Claims {
  readonly #around: AddressSurroundings;
  readonly #problems: ProblemList;
  readonly #ports = new Map<string, string>();
  readonly #balancers = new Map<string, string>();
  readonly #all: Words[];

  constructor(around: AddressSurroundings, problems: ProblemList) {
    this.#around = around;
    this.#problems = problems;
    this.#all = [...around.nodes];
  }

  /** An externalIP: several services may have one, with different ports. */
  share(title: string, field: string, text: string, service: Service): Words | undefined {
    const address = parseAddress(text) as Words;
    const id = address.join();
    const ports = portsOf(service).map((port) => `${id} ${port}`);
    const inner = this.#around.inner.find((block) => prefixContains(block.prefix, address));
    const taken = ports.find((port) => this.#ports.has(port));
    if (!isHostAddress(address)) return this.#refuse(title, field, `${text} ${UNUSABLE}`);
    if (inner) return this.#refuse(title, field, `${text} is inside ${inner.text} of pods or services`);
    if (taken !== undefined) {
      const owner = this.#problems.whereIs(this.#ports.get(taken) as string);
      return this.#refuse(title, field, `${text} port ${taken.slice(id.length + 1)} is already that of ${owner}`);
    }
    for (const port of ports) this.#ports.set(port, title);
    this.#all.push(address);
    return address;
  }

  /** A LoadBalancer's address: one service has it alone. */
  take(title: string, field: string, text: string, service: Service): Words | undefined {
    const id = (parseAddress(text) as Words).join();
    const owner = this.#balancers.get(id);
    if (owner !== undefined && owner !== title) {
      return this.#refuse(title, field, `${text} is already the address of ${this.#problems.whereIs(owner)}`);
    }
    const address = this.share(title, field, text, service);
    if (address) this.#balancers.set(id, title);
    return address;
  }

  /** Offsets in the pool of a family that cannot be given out. */
  offsets(family: 'v4' | 'v6'): Set<number> {
    const spans = this.#around.pool[family];
    return new Set(
      this.#all.filter((a) => isV4(a) === (family === 'v4')).flatMap((address) => poolOffsets(spans, address)),
    );
  }

  #refuse(title: string, field: string, reason: string): undefined {
    this.#problems.error(title, `${field}: ${reason}: not served`);
  }
}

function portsOf(service: Service): string[] {
  return (service.spec.ports ?? []).map((p) => `${p.port}/${p.protocol ?? 'TCP'}`);
}
