/**
 * Slices for what people write as Endpoints of services without a selector: who reads slices alone sees them too
 * (k8s.io/kubernetes pkg/controller/endpointslicemirroring).
 */
import type { EndpointAddress } from 'kubernetes-types/core/v1.js';
import type { Endpoint } from 'kubernetes-types/discovery/v1.js';
import { familyOf } from '../../control/address-family.ts';
import type { Endpoints, Service } from '../../kube/objects.ts';
import { parseAddress } from '../../wire/address.ts';
import type { ApiObject } from '../api-object.ts';
import type { ControllerParts } from './controller-set.ts';
import { isOurs } from './endpoints.ts';
import type { Informer } from './informer.ts';
import { keyOf } from './object-key.ts';
import { ServiceController } from './service-controller.ts';
import { hasSelector } from './service-pods.ts';
import type { EndpointGroup } from './slice-packing.ts';
import { SliceWriter } from './slice-writer.ts';

export const MIRROR_MANAGER = 'endpointslicemirroring-controller.k8s.io';
const SKIP_LABEL = 'endpointslice.kubernetes.io/skip-mirror';
const LEADER_ANNOTATION = 'control-plane.alpha.kubernetes.io/leader';
/** Of a subset: as many as one Endpoints object is to have. */
const MOST_ADDRESSES = 1000;
const PACE_MS = 20;

export class MirroredSlices extends ServiceController {
  readonly #services: Informer;
  readonly #endpoints: Informer;
  readonly #slices: SliceWriter;

  constructor(parts: ControllerParts) {
    super(parts, 'MirroredSlices', PACE_MS);
    const { informers, table } = parts;
    this.#services = informers.of(table.known('', 'v1', 'services'));
    this.#endpoints = informers.of(table.known('', 'v1', 'endpoints'));
    this.#slices = new SliceWriter(parts, MIRROR_MANAGER, (service) => this.add(service));
    for (const informer of [this.#services, this.#endpoints]) {
      informer.onChange((before, after) => {
        this.add(keyOf((after ?? before) as ApiObject));
      });
    }
  }

  protected async look(namespace: string, name: string): Promise<void> {
    const service = this.#services.get(namespace, name) as unknown as Service | undefined;
    const object = this.#endpoints.get(namespace, name);
    const mirrors = service && !hasSelector(service) && service.spec.type !== 'ExternalName';
    if (!mirrors || !object || !isMirrored(object)) {
      await this.#slices.clear({ namespace, service: name });
      return;
    }
    const headless = service.spec.clusterIP === 'None';
    await this.#slices.write({ namespace, service: name, object, headless }, groupsOf(object as unknown as Endpoints));
  }
}

function isMirrored(endpoints: ApiObject): boolean {
  const { labels, annotations } = endpoints.metadata;
  return labels?.[SKIP_LABEL] !== 'true' && annotations?.[LEADER_ANNOTATION] === undefined && !isOurs(endpoints);
}

function groupsOf({ subsets = [] }: Endpoints): EndpointGroup[] {
  const groups = new Map<string, EndpointGroup & { endpoints: Endpoint[] }>();
  for (const { addresses = [], notReadyAddresses = [], ports: written = [] } of subsets) {
    const ports = written.map(({ name = '', protocol = 'TCP', ...port }) => ({ name, protocol, ...port }));
    const all = [
      ...addresses.map((address) => ({ address, ready: true })),
      ...notReadyAddresses.map((address) => ({ address, ready: false })),
    ];
    for (const { address, ready } of all.slice(0, MOST_ADDRESSES)) {
      const words = parseAddress(address.ip);
      if (!words) continue;
      const addressType = familyOf(words);
      const id = JSON.stringify([addressType, ports]);
      const group = groups.get(id) ?? { addressType, ports, endpoints: [] };
      group.endpoints.push(endpointOf(address, ready));
      groups.set(id, group);
    }
  }
  return [...groups.values()];
}

function endpointOf({ ip, hostname, nodeName, targetRef }: EndpointAddress, ready: boolean): Endpoint {
  return {
    addresses: [ip],
    conditions: { ready, serving: ready, terminating: false },
    ...(hostname ? { hostname } : {}),
    ...(nodeName ? { nodeName } : {}),
    ...(targetRef ? { targetRef } : {}),
  };
}
