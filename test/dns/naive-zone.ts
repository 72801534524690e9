/**
 * The zone written out at once and simply, as a reference: every name that exists, with its records, in one map. What
 * src/dns/zone.ts says of any name must be the same.
 */

import type {
  ClusterRecords,
  EndpointEntry,
  PodEntry,
  PortEntry,
  ServiceEntry,
} from '../../src/dns/cluster-records.ts';
import { TYPE } from '../../src/dns/codes.ts';
import { canonicalName, isWritableName } from '../../src/dns/name.ts';
import type { AuthorityRecord, DnsRecord } from '../../src/dns/record.ts';
import { reverseName } from '../../src/dns/reverse.ts';
import type { ZoneOptions } from '../../src/dns/zone.ts';
import { formatAddress, isV4, type Words } from '../../src/wire/address.ts';

const TTL_SECONDS = 5;
const SPECIFICATION_VERSION = '1.1.0';
const TOTAL_WEIGHT = 100;

export function naiveNames(records: ClusterRecords, options: ZoneOptions): ReadonlyMap<string, readonly DnsRecord[]> {
  const domain = canonicalName(options.domain);
  const server = `ns.dns.${domain}`;
  const authorityOf = (owner: string): AuthorityRecord => ({
    type: TYPE.soa,
    owner,
    ttlSeconds: TTL_SECONDS,
    server,
    mailbox: `hostmaster.${domain}`,
    serial: options.serial >>> 0,
    negativeTtlSeconds: TTL_SECONDS,
  });
  const draft = new ZoneDraft(domain);
  draft.add(authorityOf(domain));
  draft.add({ type: TYPE.ns, owner: domain, ttlSeconds: TTL_SECONDS, target: server });
  draft.address(server, options.address);
  draft.add({
    type: TYPE.txt,
    owner: `dns-version.${domain}`,
    ttlSeconds: TTL_SECONDS,
    text: SPECIFICATION_VERSION,
  });
  for (const branch of ['svc', 'pod']) {
    draft.exists(`${branch}.${domain}`);
    for (const namespace of records.namespaces) draft.exists(`${canonicalName(namespace)}.${branch}.${domain}`);
  }
  for (const pod of records.pods) {
    draft.address(draft.podName(pod), pod.address);
  }
  for (const service of records.services) draft.service(service);
  addPointers(draft, records);

  return draft.names;
}

/** `10-244-1-5`, `2001-db8--1`. */
function dashed(address: Words): string {
  return formatAddress(address).replaceAll(/[.:]/g, '-');
}

function endpointLabel(endpoint: EndpointEntry): string {
  return endpoint.hostname ? canonicalName(endpoint.hostname) : dashed(endpoint.address);
}

/**
 * One address, one meaning: a service's own name before those of endpoints, and among these the headless services'
 * before names that merely happen to exist for pods behind a virtual address; a pod behind no service has its own.
 */
function addPointers(draft: ZoneDraft, records: ClusterRecords): void {
  const owned = new Set<string>();
  const pass = (pairs: Iterable<readonly [Words, string]>): void => {
    const added = new Set<string>();
    for (const [address, target] of pairs) {
      const owner = reverseName(address);
      if (owned.has(owner)) continue;
      if (draft.add({ type: TYPE.ptr, owner, ttlSeconds: TTL_SECONDS, target })) added.add(owner);
    }
    for (const owner of added) owned.add(owner);
  };
  const endpointsOf = (services: readonly ServiceEntry[]) =>
    services.flatMap((service) =>
      service.endpoints.map((endpoint) => {
        return [endpoint.address, `${endpointLabel(endpoint)}.${draft.nameOf(service)}`] as const;
      }),
    );
  pass(records.services.flatMap((service) => service.clusterIps.map((ip) => [ip, draft.nameOf(service)] as const)));
  pass(endpointsOf(records.services.filter((service) => service.headless)));
  pass(endpointsOf(records.services.filter((service) => !service.headless)));
  const own = records.pods.filter((pod) => !pod.hostNetwork);
  pass(own.map((pod) => [pod.address, draft.podName(pod)] as const));
}

class ZoneDraft {
  readonly names = new Map<string, DnsRecord[]>();
  readonly unwritable: string[] = [];
  readonly #domain: string;
  readonly #seen = new Set<string>();

  constructor(domain: string) {
    this.#domain = domain;
  }

  nameOf(service: ServiceEntry): string {
    return `${canonicalName(service.name)}.${canonicalName(service.namespace)}.svc.${this.#domain}`;
  }

  podName(pod: PodEntry): string {
    return `${dashed(pod.address)}.${canonicalName(pod.namespace)}.pod.${this.#domain}`;
  }

  service(service: ServiceEntry): void {
    const name = this.nameOf(service);
    if (service.externalName !== undefined) {
      const target = canonicalName(service.externalName);
      this.add({ type: TYPE.cname, owner: name, ttlSeconds: TTL_SECONDS, target });
      return;
    }
    if (!service.headless) {
      this.exists(name);
      for (const address of service.clusterIps) this.address(name, address);
      this.#ports(service.clusterIps.length > 0 ? service.ports : [], name, name, TOTAL_WEIGHT);
    }
    // A headless service without an endpoint adds nothing, so that its name does not exist.
    const weight = Math.max(1, Math.floor(TOTAL_WEIGHT / service.endpoints.length));
    for (const endpoint of service.endpoints) {
      const target = `${endpointLabel(endpoint)}.${name}`;
      this.address(target, endpoint.address);
      for (const port of endpoint.ports) this.#srv(target, port, target, TOTAL_WEIGHT);
      if (!service.headless) continue;
      this.address(name, endpoint.address);
      this.#ports(endpoint.ports, name, target, weight);
    }
  }

  #ports(ports: readonly PortEntry[], name: string, target: string, weight: number): void {
    for (const port of ports) {
      this.#srv(name, port, target, weight);
      if (port.name) this.#srv(`_${port.name}._${port.protocol}.${name}`.toLowerCase(), port, target, weight);
    }
  }

  #srv(owner: string, port: PortEntry, target: string, weight: number): void {
    this.add({ type: TYPE.srv, owner, ttlSeconds: TTL_SECONDS, weight, port: port.port, target });
  }

  address(owner: string, address: Words): void {
    this.add({ type: isV4(address) ? TYPE.a : TYPE.aaaa, owner, ttlSeconds: TTL_SECONDS, address });
  }

  /** False when a name of the record is no domain name. A record that is there already is not added again. */
  add(record: DnsRecord): boolean {
    const target = 'target' in record ? record.target : '';
    for (const name of [record.owner, target]) {
      if (isWritableName(name)) continue;
      this.unwritable.push(name);
      return false;
    }
    const data = 'address' in record ? record.address.join() : 'port' in record ? `${record.port} ${target}` : target;
    const identity = `${record.owner} ${record.type} ${data}`;
    if (this.#seen.has(identity)) return true;
    this.#seen.add(identity);
    this.exists(record.owner);
    this.names.get(record.owner)?.push(record);
    return true;
  }

  /** The name exists, and with it every name above it (RFC 8020). */
  exists(name: string): void {
    let key = name;
    while (key !== '' && !this.names.has(key) && isWritableName(key)) {
      this.names.set(key, []);
      const dot = key.indexOf('.');
      key = dot < 0 || key === this.#domain ? '' : key.slice(dot + 1);
    }
  }
}
