/**
 * The slices that one controller writes for services: told apart from everybody else's by the label managed-by, which
 * are never touched. Knows what it wrote before the informer does, so that a burst of changes makes no double.
 */
import type { EndpointSlice } from '../../kube/objects.ts';
import { ApiError } from '../api-error.ts';
import type { ApiObject } from '../api-object.ts';
import type { Resource } from '../kinds/resource.ts';
import type { ObjectStore } from '../objects/object-store.ts';
import type { ControllerParts } from './controller-set.ts';
import { ObjectIndex } from './object-index.ts';
import { controllerReference } from './object-key.ts';
import { OwnWrites } from './own-writes.ts';
import { type EndpointGroup, packSlices, sortedPorts } from './slice-packing.ts';

export const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';
export const MANAGED_BY_LABEL = 'endpointslice.kubernetes.io/managed-by';
const HEADLESS_LABEL = 'service.kubernetes.io/headless';
const OWN_LABELS = [SERVICE_NAME_LABEL, MANAGED_BY_LABEL, HEADLESS_LABEL];

export interface SliceOwner {
  namespace: string;
  /** Whose endpoints they are. */
  service: string;
  /** With which the slices go: the service, or the Endpoints that they mirror. */
  object: ApiObject;
  headless: boolean;
}

export class SliceWriter {
  readonly #objects: ObjectStore;
  readonly #resource: Resource;
  readonly #managedBy: string;
  readonly #onStrange: (service: string) => void;
  readonly #own: OwnWrites;
  /** By service that is being written: what was heard meanwhile, and what of it is our own. */
  readonly #writing = new Map<string, { heard: string[]; own: Set<string> }>();

  /** `onStrange`: somebody else wrote to a slice of ours, of this service (`namespace/name`). */
  constructor(parts: ControllerParts, managedBy: string, onStrange: (service: string) => void) {
    this.#objects = parts.objects;
    this.#resource = parts.table.known('discovery.k8s.io', 'v1', 'endpointslices');
    this.#managedBy = managedBy;
    const informer = parts.informers.of(this.#resource);
    const index = new ObjectIndex(informer, (slice) => this.#servicesOf(slice));
    // Before the listener of what we wrote ourselves, which forgets it when it has been heard.
    informer.onChange((before, after) => {
      if (this.#own.isKnown(before, after)) return;
      const services = new Set([before, after].flatMap((slice) => (slice ? this.#servicesOf(slice) : [])));
      for (const service of services) {
        const writing = this.#writing.get(service);
        if (writing) writing.heard.push(tagOf((after ?? before) as ApiObject, after === undefined));
        else onStrange(service);
      }
    });
    this.#own = new OwnWrites(informer, index);
    this.#onStrange = onStrange;
  }

  /** All slices of a service become these; where there are none, they go. */
  async write(owner: SliceOwner, groups: readonly EndpointGroup[]): Promise<void> {
    const existing = this.#slicesOf(`${owner.namespace}/${owner.service}`);
    const plan = packSlices(existing, groups);
    // What a slice says of itself may be wrong too.
    const planned = new Set([...plan.update.map(({ slice }) => slice), ...plan.delete]);
    for (const slice of existing) {
      if (planned.has(slice) || this.#isOwned(slice, owner)) continue;
      const { addressType, ports = [], endpoints = [] } = slice;
      plan.update.push({ slice, to: { addressType: addressType as 'IPv4', ports, endpoints } });
    }
    await this.#watching(`${owner.namespace}/${owner.service}`, async () => {
      await settled([
        ...plan.create.map((group) => this.#create(owner, group)),
        ...plan.update.map(({ slice, to }) => this.#update(owner, slice, to)),
      ]);
      await settled(plan.delete.map((slice) => this.#delete(owner, slice)));
    });
  }

  /** All slices of a service go. */
  async clear(owner: { namespace: string; service: string }): Promise<void> {
    const key = `${owner.namespace}/${owner.service}`;
    await this.#watching(key, () => settled(this.#slicesOf(key).map((slice) => this.#delete(owner, slice))));
  }

  /** What is heard of a service's slices while they are written may be our own writing. */
  async #watching(service: string, write: () => Promise<void>): Promise<void> {
    const writing = { heard: [] as string[], own: new Set<string>() };
    this.#writing.set(service, writing);
    try {
      await write();
    } finally {
      this.#writing.delete(service);
      if (writing.heard.some((tag) => !writing.own.has(tag))) this.#onStrange(service);
    }
  }

  #slicesOf(service: string): EndpointSlice[] {
    return this.#own.list(service) as unknown as EndpointSlice[];
  }

  #servicesOf({ metadata }: ApiObject): string[] {
    const { [MANAGED_BY_LABEL]: managedBy, [SERVICE_NAME_LABEL]: service } = metadata.labels ?? {};
    return managedBy === this.#managedBy && service !== undefined ? [`${metadata.namespace}/${service}`] : [];
  }

  async #create(owner: SliceOwner, group: EndpointGroup): Promise<void> {
    const { apiVersion, kind } = { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' };
    const metadata = {
      generateName: `${owner.service}-`,
      namespace: owner.namespace,
      labels: this.#labels(owner),
      ownerReferences: [controllerReference(owner.object)],
    };
    const body = { apiVersion, kind, metadata, ...contents(group) } as unknown as ApiObject;
    this.#wrote(owner, await this.#objects.create(this.#resource, owner.namespace, body));
  }

  async #update(owner: SliceOwner, slice: EndpointSlice, group: EndpointGroup): Promise<void> {
    const { namespace, name } = slice.metadata;
    const place = { resource: this.#resource, namespace, name };
    const change = (current: ApiObject): ApiObject => ({
      ...current,
      metadata: {
        ...current.metadata,
        labels: this.#labels(owner),
        ownerReferences: [controllerReference(owner.object)],
      },
      ...contents(group),
    });
    try {
      this.#wrote(owner, await this.#objects.update(place, change));
    } catch (error) {
      if (error instanceof ApiError && error.reason === 'NotFound') this.#own.deleted(namespace, name);
      throw error;
    }
  }

  #wrote({ namespace, service }: { namespace: string; service: string }, object: ApiObject): void {
    const key = `${namespace}/${service}`;
    this.#own.wrote(key, object);
    this.#writing.get(key)?.own.add(tagOf(object, false));
  }

  async #delete(owner: { namespace: string; service: string }, slice: EndpointSlice): Promise<void> {
    const { namespace, name } = slice.metadata;
    this.#writing.get(`${owner.namespace}/${owner.service}`)?.own.add(tagOf(slice as unknown as ApiObject, true));
    try {
      await this.#objects.delete({ resource: this.#resource, namespace, name });
    } catch (error) {
      if (!(error instanceof ApiError) || error.reason !== 'NotFound') throw error;
    }
    this.#own.deleted(namespace, name);
  }

  #isOwned({ metadata }: EndpointSlice, owner: SliceOwner): boolean {
    const uid = metadata.ownerReferences?.[0]?.uid;
    return uid === owner.object.metadata.uid && sameLabels(metadata.labels ?? {}, this.#labels(owner));
  }

  #labels({ service, object, headless }: SliceOwner): Record<string, string> {
    const inherited = Object.entries(object.metadata.labels ?? {}).filter(([key]) => !OWN_LABELS.includes(key));
    return {
      ...Object.fromEntries(inherited),
      ...(headless ? { [HEADLESS_LABEL]: '' } : {}),
      [SERVICE_NAME_LABEL]: service,
      [MANAGED_BY_LABEL]: this.#managedBy,
    };
  }
}

function tagOf({ metadata }: ApiObject, gone: boolean): string {
  return `${metadata.name} ${gone ? 'gone' : metadata.resourceVersion}`;
}

function contents({ addressType, ports, endpoints }: EndpointGroup): Record<string, unknown> {
  return { addressType, ports: sortedPorts(ports), endpoints };
}

function sameLabels(a: Record<string, string>, b: Record<string, string>): boolean {
  const keys = Object.keys(b);
  return Object.keys(a).length === keys.length && keys.every((key) => a[key] === b[key]);
}

/** Each to its end; then throws the first failure. */
async function settled(all: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(all)).find((one) => one.status === 'rejected');
  if (failed) throw failed.reason;
}
