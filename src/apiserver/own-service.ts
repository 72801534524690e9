/**
 * The API server as pods find it: the Service default/kubernetes at the first address of the services' range, and the
 * addresses of the servers behind it (k8s.io/kubernetes pkg/controlplane/reconcilers). Each server says by a Lease that
 * it is there; all of them write what the Leases say. A server on loopback alone has no address for anybody.
 */
import { networkInterfaces } from 'node:os';
import { addressAt } from '../control/address-block.ts';
import type { ClusterRanges } from '../control/cluster-settings.ts';
import { isHostAddress } from '../kube/rule-checks.ts';
import { formatAddress, isV4, parseAddress } from '../wire/address.ts';
import { ApiError } from './api-error.ts';
import { type ApiObject, timestamp } from './api-object.ts';
import type { Resource } from './kinds/resource.ts';
import type { ResourceTable } from './kinds/resource-table.ts';
import type { ObjectStore } from './objects/object-store.ts';

export interface OwnServiceParts {
  objects: ObjectStore;
  table: ResourceTable;
  ranges: ClusterRanges;
  /** Where others reach this server; undefined: nowhere. */
  address: string | undefined;
  port: number;
  /** No other server is at the store. */
  alone: boolean;
  log(message: string): void;
}

const NAME = 'kubernetes';
const NAMESPACE = 'default';
const LEASE_NAMESPACE = 'kube-system';
const LEASE_LABELS = { 'apiserver.kubernetes.io/identity': 'weft-apiserver' };
const ADDRESS_ANNOTATION = 'weft.dev/apiserver-address';
const ROUND_MS = 5000;
const LEASE_SECONDS = 15;

export class OwnService {
  readonly #parts: OwnServiceParts;
  readonly #services: Resource;
  readonly #endpoints: Resource;
  readonly #leases: Resource;
  #timer: NodeJS.Timeout | undefined;
  #said = '';
  #round: Promise<void> = Promise.resolve();

  constructor(parts: OwnServiceParts) {
    this.#parts = parts;
    this.#services = parts.table.known('', 'v1', 'services');
    this.#endpoints = parts.table.known('', 'v1', 'endpoints');
    this.#leases = parts.table.known('coordination.k8s.io', 'v1', 'leases');
  }

  /** Resolves after the first round. */
  async start(): Promise<void> {
    this.#timer = setInterval(() => this.#begin(true), ROUND_MS);
    this.#timer.unref();
    await this.#begin(true);
  }

  /** Takes this server's address away. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#begin(false);
  }

  #begin(serves: boolean): Promise<void> {
    this.#round = this.#round.then(async () => {
      try {
        await this.#look(serves);
        this.#said = '';
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        if (message !== this.#said) this.#parts.log(`service ${NAMESPACE}/${NAME}: ${message}`);
        this.#said = message;
      }
    });
    return this.#round;
  }

  async #look(serves: boolean): Promise<void> {
    await this.#makeService();
    const addresses = await this.#addresses(serves);
    const byPort = new Map<number, string[]>();
    for (const { ip, port } of addresses) byPort.set(port, [...(byPort.get(port) ?? []), ip]);
    const subsets = [...byPort].map(([port, ips]) => ({
      addresses: [...new Set(ips)].sort().map((ip) => ({ ip })),
      ports: [{ name: 'https', port, protocol: 'TCP' }],
    }));
    await this.#write(this.#endpoints, NAMESPACE, NAME, (current) => ({ ...current, subsets }));
  }

  async #makeService(): Promise<void> {
    const { objects, ranges, port } = this.#parts;
    const place = { resource: this.#services, namespace: NAMESPACE, name: NAME };
    try {
      await objects.get(place);
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
      const [first] = ranges.service;
      const labels = { component: 'apiserver', provider: 'kubernetes' };
      const clusterIP = first && formatAddress(addressAt(first, 1));
      const ports = [{ name: 'https', port: 443, protocol: 'TCP', targetPort: port }];
      await this.#write(this.#services, NAMESPACE, NAME, (current) => ({
        ...current,
        metadata: { ...current.metadata, labels },
        spec: { type: 'ClusterIP', clusterIP, ports },
      }));
    }
  }

  /** Of all servers that are there. */
  async #addresses(serves: boolean): Promise<{ ip: string; port: number }[]> {
    const { objects, address, port, alone } = this.#parts;
    const own = serves && address !== undefined ? [{ ip: address, port }] : [];
    if (alone) return own;
    const name = address === undefined ? undefined : `apiserver-${address.replaceAll(/[.:]/g, '-')}-${port}`;
    if (name !== undefined && serves) {
      const annotation = { [ADDRESS_ANNOTATION]: `${address} ${port}` };
      await this.#write(this.#leases, LEASE_NAMESPACE, name, (current) => ({
        ...current,
        metadata: { ...current.metadata, labels: LEASE_LABELS, annotations: annotation },
        spec: { holderIdentity: name, leaseDurationSeconds: LEASE_SECONDS, renewTime: new Date().toISOString() },
      }));
    } else if (name !== undefined) await this.#remove(this.#leases, LEASE_NAMESPACE, name);
    const { items } = await objects.list(this.#leases, {
      namespace: LEASE_NAMESPACE,
      matches: ({ metadata }) => metadata.annotations?.[ADDRESS_ANNOTATION] !== undefined,
    });
    const others: { ip: string; port: number }[] = [];
    for (const { metadata, spec } of items) {
      if (metadata.name === name) continue;
      const age = Date.now() - Date.parse(`${spec?.renewTime}`);
      const [ip = '', at = ''] = (metadata.annotations?.[ADDRESS_ANNOTATION] ?? '').split(' ');
      if (age > LEASE_SECONDS * 1000) await this.#remove(this.#leases, LEASE_NAMESPACE, metadata.name);
      else if (parseAddress(ip) && Number(at) > 0) others.push({ ip, port: Number(at) });
    }
    return [...own, ...others];
  }

  async #write(
    resource: Resource,
    namespace: string,
    name: string,
    change: (current: ApiObject) => ApiObject,
  ): Promise<void> {
    const { objects } = this.#parts;
    const apiVersion = resource.group ? `${resource.group}/${resource.version}` : resource.version;
    const metadata = { name, namespace, uid: '', resourceVersion: '', creationTimestamp: timestamp() };
    try {
      await objects.update({ resource, namespace, name }, change);
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
      try {
        await objects.create(resource, namespace, change({ apiVersion, kind: resource.kind, metadata }));
      } catch (late) {
        // Another server was quicker; the next round looks at what it wrote.
        if (!isReason(late, 'AlreadyExists')) throw late;
      }
    }
  }

  async #remove(resource: Resource, namespace: string, name: string): Promise<void> {
    try {
      await this.#parts.objects.delete({ resource, namespace, name });
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
    }
  }
}

/** Where others reach a server that listens on this address; undefined: nowhere, it is of this host alone. */
export function reachableAddress(host: string): string | undefined {
  const address = parseAddress(host);
  if (address && isHostAddress(address)) return formatAddress(address);
  if (host !== '0.0.0.0' && host !== '::') return undefined;
  const all = Object.values(networkInterfaces()).flatMap((own) => own ?? []);
  const found = all
    .filter(({ internal }) => !internal)
    .map(({ address: text }) => parseAddress(text))
    .filter((words) => words !== undefined && isHostAddress(words));
  const first = found.find((words) => words && isV4(words)) ?? found[0];
  return first && formatAddress(first);
}

function isReason(error: unknown, reason: ApiError['reason']): boolean {
  return error instanceof ApiError && error.reason === reason;
}
