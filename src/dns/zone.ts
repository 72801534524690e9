/**
 * The cluster's zone: every name that exists, with its records, by the rules of the Kubernetes DNS specification 1.1.0.
 * Whether a name exists (NODATA) or not (NXDOMAIN) is a look-up, empty non-terminals (`svc.`,
 * `_tcp.web.default.svc.`) included. Pure; made once per state of the cluster, and cheap to make: a service's names
 * are written out when one of them is asked for, so that a change among ten thousand services holds nobody up.
 *
 *   web.default.svc.Z              A, AAAA, SRV     service; headless: one per endpoint; ExternalName: CNAME
 *   _http._tcp.web.default.svc.Z   SRV              named ports
 *   HOSTNAME.web.default.svc.Z     A, AAAA, SRV     endpoint by its hostname, else by its dashed address
 *   10-244-1-5.default.pod.Z       A, AAAA          pods that exist
 *   5.1.244.10.in-addr.arpa        PTR              services, else endpoints, else pods
 *   dns-version.Z TXT, Z SOA and NS, ns.dns.Z A, AAAA   the zone itself
 */
import type { Words } from '../wire/address.ts';
import { type ClusterRecords, podAddresses, type ServiceEntry } from './cluster-records.ts';
import { TYPE } from './codes.ts';
import { canonicalName, isWithin, isWritableName } from './name.ts';
import { type PodNames, PodRecords } from './pod-records.ts';
import { type Pointed, Pointers } from './pointers.ts';
import type { AuthorityRecord, DnsRecord } from './record.ts';
import { reverseOrigin } from './reverse.ts';
import { endpointLabel, serviceRecords } from './service-records.ts';
import { ZoneDraft } from './zone-draft.ts';

/** As kube-dns and CoreDNS have it: short, because endpoints come and go. */
const TTL_SECONDS = 5;

const SPECIFICATION_VERSION = '1.1.0';
/** Services whose names are kept written out; more are written out again when they are asked for. */
const WRITTEN_OUT = 2048;

export interface ZoneOptions {
  /** `cluster.local`. */
  domain: string;
  /** Where the server answers: the address of the zone's name server. */
  address: Words;
  otherAddresses?: readonly Words[];
  /** Grows with every state of the cluster. */
  serial: number;
  /** Of the cluster's own records; 5 by default. */
  ttlSeconds?: number;
  /** `verified` by default. */
  podNames?: PodNames;
}

/** Names with their records; present with no record: an empty non-terminal. */
export interface ZoneNames extends Iterable<readonly [string, readonly DnsRecord[]]> {
  get(key: string): readonly DnsRecord[] | undefined;
}

export interface Zone {
  readonly domain: string;
  readonly ttlSeconds: number;
  readonly names: ZoneNames;
  /** By `NAME.NAMESPACE`. */
  readonly services: ReadonlyMap<string, ServiceEntry>;
  readonly records: ClusterRecords;
  /** Names of services, hostnames or ExternalNames that cannot be written as domain names, left out. */
  readonly unwritable: readonly string[];
  /** The zone of ours that the name lies in, or nothing: then others are to be asked. */
  originOf(key: string): string | undefined;
  authorityOf(origin: string): AuthorityRecord;
  /** `NAME.NAMESPACE` of the service that alone says what this name's records are; '' where others do, too. */
  sourceOf(key: string): string;
}

export function buildZone(records: ClusterRecords, options: ZoneOptions): Zone {
  const domain = canonicalName(options.domain);
  const ttlSeconds = options.ttlSeconds ?? TTL_SECONDS;
  const server = `ns.dns.${domain}`;
  const authorityOf = (owner: string): AuthorityRecord => ({
    type: TYPE.soa,
    owner,
    ttlSeconds,
    server,
    mailbox: `hostmaster.${domain}`,
    serial: options.serial >>> 0,
    negativeTtlSeconds: ttlSeconds,
  });
  const own = new ZoneDraft(domain, ttlSeconds);
  own.add(authorityOf(domain));
  own.server(domain, server);
  for (const address of [options.address, ...(options.otherAddresses ?? [])]) own.address(server, address);
  own.text(`dns-version.${domain}`, SPECIFICATION_VERSION);
  for (const branch of ['svc', 'pod']) {
    own.exists(`${branch}.${domain}`);
    for (const namespace of records.namespaces) own.exists(`${canonicalName(namespace)}.${branch}.${domain}`);
  }
  const services = new Map(
    records.services.map((service) => [`${canonicalName(service.name)}.${canonicalName(service.namespace)}`, service]),
  );
  const names = new ClusterNames(records, services, own, {
    domain,
    ttlSeconds,
    podNames: options.podNames ?? 'verified',
  });
  const originOf = (key: string): string | undefined => {
    if (isWithin(key, domain)) return domain;
    for (const prefix of records.reverse) {
      const origin = reverseOrigin(key, prefix);
      if (origin !== undefined) return origin;
    }
    return undefined;
  };
  return {
    domain,
    ttlSeconds,
    names,
    services,
    records,
    unwritable: unwritableNames(services, domain),
    originOf,
    authorityOf,
    sourceOf: (key) => names.serviceOf(key) ?? '',
  };
}

/** Only what people write freely: other names are checked when objects are read. */
function unwritableNames(services: ReadonlyMap<string, ServiceEntry>, domain: string): string[] {
  const unwritable: string[] = [];
  const check = (name: string): void => {
    if (!isWritableName(name)) unwritable.push(name);
  };
  for (const [key, { externalName, endpoints }] of services) {
    if (externalName !== undefined) check(canonicalName(externalName));
    for (const endpoint of endpoints) if (endpoint.hostname) check(`${endpointLabel(endpoint)}.${key}.svc.${domain}`);
  }
  return unwritable;
}

class ClusterNames implements ZoneNames {
  readonly #records: ClusterRecords;
  readonly #services: ReadonlyMap<string, ServiceEntry>;
  readonly #own: ZoneDraft;
  readonly #ttlSeconds: number;
  /** With the dot in front. */
  readonly #servicesEnd: string;
  readonly #podsEnd: string;
  readonly #written = new Map<string, ZoneDraft>();
  readonly #pods: PodRecords;
  #pointers: Pointers | undefined;

  constructor(
    records: ClusterRecords,
    services: ReadonlyMap<string, ServiceEntry>,
    own: ZoneDraft,
    { domain, ttlSeconds, podNames }: { domain: string; ttlSeconds: number; podNames: PodNames },
  ) {
    this.#records = records;
    this.#services = services;
    this.#own = own;
    this.#ttlSeconds = ttlSeconds;
    this.#servicesEnd = `.svc.${domain}`;
    this.#podsEnd = `.pod.${domain}`;
    this.#pods = new PodRecords(records.pods, podNames, this.#podsEnd, ttlSeconds);
  }

  get(key: string): readonly DnsRecord[] | undefined {
    const own = this.#own.names.get(key);
    if (own) return own;
    const service = this.serviceOf(key);
    if (service !== undefined) return this.#service(service)?.names.get(key);
    if (key.endsWith(this.#podsEnd)) return this.#pods.get(key, (name) => this.#own.names.has(name));
    return key.endsWith('.arpa') ? this.#pointed().get(key) : undefined;
  }

  *[Symbol.iterator](): Generator<readonly [string, readonly DnsRecord[]]> {
    yield* this.#own.names;
    for (const [key, service] of this.#services) {
      yield* serviceRecords(service, key + this.#servicesEnd, this.#ttlSeconds).names;
    }
    yield* this.#pods.entries();
    yield* this.#pointed().entries();
  }

  /** `web.default` of `_http._tcp.web.default.svc.Z`; undefined where no service can lie. */
  serviceOf(key: string): string | undefined {
    if (!key.endsWith(this.#servicesEnd)) return undefined;
    const path = key.slice(0, -this.#servicesEnd.length);
    const namespaceAt = path.lastIndexOf('.');
    if (namespaceAt < 0) return undefined;
    return path.slice(path.lastIndexOf('.', namespaceAt - 1) + 1);
  }

  #service(key: string): ZoneDraft | undefined {
    const known = this.#written.get(key);
    if (known) return known;
    const service = this.#services.get(key);
    if (!service) return undefined;
    const written = serviceRecords(service, key + this.#servicesEnd, this.#ttlSeconds);
    if (this.#written.size >= WRITTEN_OUT) this.#written.clear();
    this.#written.set(key, written);
    return written;
  }

  #pointed(): Pointers {
    if (this.#pointers) return this.#pointers;
    const ofServices: Pointed[] = [];
    const ofHeadless: Pointed[] = [];
    const ofOthers: Pointed[] = [];
    const ofPods: Pointed[] = [];
    for (const service of this.#records.services) {
      for (const address of service.clusterIps) ofServices.push({ address, service });
      const list = service.headless ? ofHeadless : ofOthers;
      for (const endpoint of service.endpoints) list.push({ address: endpoint.address, service, endpoint });
    }
    if (this.#pods.mode !== 'disabled') {
      for (const pod of this.#records.pods) {
        if (pod.hostNetwork) continue;
        for (const address of podAddresses(pod)) ofPods.push({ address, pod });
      }
    }
    const passes = [ofServices, ofHeadless, ofOthers, ofPods];
    this.#pointers = new Pointers(passes, (pointed) => this.#targetOf(pointed), this.#ttlSeconds);
    return this.#pointers;
  }

  #targetOf({ address, service, endpoint, pod }: Pointed): string {
    if (pod) return this.#pods.nameOf(pod, address);
    const name = service ? this.#nameOf(service) : '';
    return endpoint ? `${endpointLabel(endpoint)}.${name}` : name;
  }

  #nameOf(service: ServiceEntry): string {
    return `${canonicalName(service.name)}.${canonicalName(service.namespace)}${this.#servicesEnd}`;
  }
}
