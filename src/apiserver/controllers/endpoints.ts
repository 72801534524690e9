/**
 * The Endpoints objects of services with selectors, for clients from before there were slices (k8s.io/kubernetes
 * pkg/controller/endpoint): the service's first family, at most 1000 addresses. Those that people write for services
 * without a selector are left alone.
 */
import type { EndpointAddress, EndpointPort, EndpointSubset } from 'kubernetes-types/core/v1.js';
import type { AddressFamily } from '../../control/address-family.ts';
import { compareWords } from '../../control/target-order.ts';
import type { Pod, Service } from '../../kube/objects.ts';
import { parseAddress, type Words } from '../../wire/address.ts';
import { ApiError } from '../api-error.ts';
import type { ApiObject } from '../api-object.ts';
import type { Resource } from '../kinds/resource.ts';
import type { ObjectStore } from '../objects/object-store.ts';
import type { ControllerParts } from './controller-set.ts';
import type { Informer } from './informer.ts';
import { keyOf } from './object-key.ts';
import { isNamed, isPresent, isReady, podAddress, podPorts } from './pod-endpoint.ts';
import { ServiceController } from './service-controller.ts';
import { hasSelector, ServicePods } from './service-pods.ts';
import { sortedPorts } from './slice-packing.ts';

const MOST_ADDRESSES = 1000;
const OVER_CAPACITY = 'endpoints.kubernetes.io/over-capacity';
const HEADLESS_LABEL = 'service.kubernetes.io/headless';
/** Nobody's traffic waits for them. */
const PACE_MS = 250;

interface Entry {
  address: EndpointAddress;
  words: Words;
  ready: boolean;
}

export class EndpointsController extends ServiceController {
  readonly #objects: ObjectStore;
  readonly #resource: Resource;
  readonly #pods: ServicePods;
  readonly #endpoints: Informer;

  constructor(parts: ControllerParts) {
    super(parts, 'Endpoints', PACE_MS);
    const { objects, informers, table } = parts;
    this.#objects = objects;
    this.#resource = table.known('', 'v1', 'endpoints');
    this.#pods = new ServicePods(parts, (service) => this.add(service));
    this.#endpoints = informers.of(this.#resource);
    this.#endpoints.onChange((before, after) => {
      this.add(keyOf((after ?? before) as ApiObject));
    });
  }

  protected async look(namespace: string, name: string): Promise<void> {
    const object = this.#pods.services.get(namespace, name);
    const service = object as unknown as Service | undefined;
    const current = this.#endpoints.get(namespace, name);
    if (!object || !service) {
      // What people wrote may be waiting for its service.
      if (current && isOurs(current)) await this.#delete(namespace, name);
      return;
    }
    if (!hasSelector(service) || service.spec.type === 'ExternalName') return;
    const { subsets, truncated } = subsetsOf(service, this.#pods.of(service));
    const next = (now: ApiObject | undefined): ApiObject => {
      const { annotations: before, ...metadata } = now?.metadata ?? {
        uid: '',
        resourceVersion: '',
        creationTimestamp: '',
      };
      const { [OVER_CAPACITY]: _, ...others } = before ?? {};
      const annotations = { ...others, ...(truncated ? { [OVER_CAPACITY]: 'truncated' } : {}) };
      const headless = service.spec.clusterIP === 'None' ? { [HEADLESS_LABEL]: '' } : {};
      return {
        apiVersion: 'v1',
        kind: 'Endpoints',
        metadata: {
          ...metadata,
          name,
          namespace,
          labels: { ...object.metadata.labels, ...headless, [MANAGED_LABEL]: MANAGER },
          ...(Object.keys(annotations).length > 0 ? { annotations } : {}),
        },
        subsets,
      };
    };
    try {
      if (current) await this.#objects.update({ resource: this.#resource, namespace, name }, next);
      else await this.#objects.create(this.#resource, namespace, next(undefined));
    } catch (error) {
      // The informer is behind: it is told soon, and the key comes again.
      if (!(error instanceof ApiError) || (error.reason !== 'AlreadyExists' && error.reason !== 'NotFound'))
        throw error;
    }
  }

  async #delete(namespace: string, name: string): Promise<void> {
    try {
      await this.#objects.delete({ resource: this.#resource, namespace, name });
    } catch (error) {
      if (!(error instanceof ApiError) || error.reason !== 'NotFound') throw error;
    }
  }
}

const MANAGED_LABEL = 'endpoints.kubernetes.io/managed-by';
const MANAGER = 'endpoint-controller';

/** Whether they are a controller's, not somebody's writing: nobody mirrors those. */
export function isOurs({ metadata }: ApiObject): boolean {
  return metadata.labels?.[MANAGED_LABEL] === MANAGER;
}

function subsetsOf(service: Service, pods: readonly Pod[]): { subsets: EndpointSubset[]; truncated: boolean } {
  const { ipFamilies = ['IPv4'], publishNotReadyAddresses = false } = service.spec;
  const groups = new Map<string, { ports: EndpointPort[]; entries: Entry[] }>();
  for (const pod of pods) {
    const leaves = pod.metadata.deletionTimestamp !== undefined && !publishNotReadyAddresses;
    const ip = podAddress(pod, ipFamilies[0] as AddressFamily);
    const ports = podPorts(service, pod) as EndpointPort[] | undefined;
    if (leaves || !isPresent(pod) || ip === undefined || !ports) continue;
    const id = JSON.stringify(ports);
    const group = groups.get(id) ?? { ports: ports.map((port) => unnamed(port)), entries: [] };
    group.entries.push({
      address: addressOf(service, pod, ip),
      words: parseAddress(ip) as Words,
      ready: publishNotReadyAddresses || isReady(pod),
    });
    groups.set(id, group);
  }
  const all = [...groups.keys()].sort().map((id) => groups.get(id) as { ports: EndpointPort[]; entries: Entry[] });
  const truncated = all.reduce((sum, { entries }) => sum + entries.length, 0) > MOST_ADDRESSES;
  if (truncated) truncate(all);
  return { subsets: all.filter(({ entries }) => entries.length > 0).map(subsetOf), truncated };
}

/** Those that are ready before those that are not; in equal parts of all that stand there. */
function truncate(groups: { entries: Entry[] }[]): void {
  let room = MOST_ADDRESSES;
  for (const ready of [true, false]) {
    const wanted = groups.map(({ entries }) => entries.filter((entry) => entry.ready === ready));
    const total = wanted.reduce((sum, entries) => sum + entries.length, 0);
    const share = total > room ? room / total : 1;
    let left = room;
    wanted.forEach((entries, i) => {
      const group = groups[i] as { entries: Entry[] };
      const most = Math.min(left, Math.ceil(entries.length * share));
      left -= most;
      const kept = new Set(entries.sort(byAddress).slice(0, most));
      group.entries = group.entries.filter((entry) => entry.ready !== ready || kept.has(entry));
    });
    room = left;
  }
}

function subsetOf({ ports, entries }: { ports: EndpointPort[]; entries: Entry[] }): EndpointSubset {
  const sorted = [...entries].sort(byAddress);
  const ready = sorted.filter((entry) => entry.ready).map(({ address }) => address);
  const late = sorted.filter((entry) => !entry.ready).map(({ address }) => address);
  return {
    ...(ready.length > 0 ? { addresses: ready } : {}),
    ...(late.length > 0 ? { notReadyAddresses: late } : {}),
    ...(ports.length > 0 ? { ports: sortedPorts(ports) as EndpointPort[] } : {}),
  };
}

function addressOf(service: Service, pod: Pod, ip: string): EndpointAddress {
  const { namespace, name, uid } = pod.metadata;
  const { nodeName, hostname } = pod.spec;
  return {
    ip,
    ...(isNamed(service, pod) ? { hostname: hostname as string } : {}),
    ...(nodeName ? { nodeName } : {}),
    targetRef: { kind: 'Pod', namespace, name, ...(uid === undefined ? {} : { uid }) },
  };
}

/** A port without a name has none here; a slice's has an empty one. */
function unnamed({ name, ...port }: EndpointPort): EndpointPort {
  return name ? { name, ...port } : port;
}

function byAddress(a: Entry, b: Entry): number {
  return (
    compareWords(a.words, b.words) || ((a.address.targetRef?.name ?? '') < (b.address.targetRef?.name ?? '') ? -1 : 1)
  );
}
