/**
 * The slices of services with selectors: which pods stand behind each, on which ports, and which of them take traffic
 * (k8s.io/endpointslice). Pods that open other ports under the same name stand in slices of their own.
 */
import type { Endpoint, EndpointPort } from 'kubernetes-types/discovery/v1.js';
import type { AddressFamily } from '../../control/address-family.ts';
import type { Service } from '../../kube/objects.ts';
import type { ControllerParts } from './controller-set.ts';
import { isPresent, podAddress, podEndpoint, podPorts } from './pod-endpoint.ts';
import { ServiceController } from './service-controller.ts';
import { hasSelector, ServicePods } from './service-pods.ts';
import type { EndpointGroup } from './slice-packing.ts';
import { SliceWriter } from './slice-writer.ts';

/** As Kubernetes names itself, so that tools that know its slices know these. */
export const SLICES_MANAGER = 'endpointslice-controller.k8s.io';
/** Pods that become ready one after the other are written together; each write is told to every node. */
const PACE_MS = 20;

export class EndpointSlices extends ServiceController {
  readonly #pods: ServicePods;
  readonly #slices: SliceWriter;

  constructor(parts: ControllerParts) {
    super(parts, 'EndpointSlices', PACE_MS);
    const add = (service: string) => this.add(service);
    this.#pods = new ServicePods(parts, add);
    this.#slices = new SliceWriter(parts, SLICES_MANAGER, add);
  }

  protected async look(namespace: string, name: string): Promise<void> {
    const object = this.#pods.services.get(namespace, name);
    const service = object as unknown as Service | undefined;
    if (!object || !service || service.spec.type === 'ExternalName') {
      await this.#slices.clear({ namespace, service: name });
      return;
    }
    // Who takes the selector away writes the endpoints from then on, and may begin with those that are there.
    if (!hasSelector(service)) return;
    const headless = service.spec.clusterIP === 'None';
    await this.#slices.write({ namespace, service: name, object, headless }, this.#groups(service));
  }

  #groups(service: Service): EndpointGroup[] {
    const pods = this.#pods.of(service).filter((pod) => isPresent(pod));
    const out: EndpointGroup[] = [];
    for (const addressType of (service.spec.ipFamilies ?? ['IPv4']) as AddressFamily[]) {
      const groups = new Map<string, { ports: EndpointPort[]; endpoints: Endpoint[] }>();
      for (const pod of pods) {
        const address = podAddress(pod, addressType);
        const ports = address === undefined ? undefined : podPorts(service, pod);
        if (address === undefined || !ports) continue;
        const id = JSON.stringify(ports);
        const group = groups.get(id) ?? { ports, endpoints: [] };
        group.endpoints.push(podEndpoint(service, pod, address, this.#pods.zoneOf(pod.spec.nodeName)));
        groups.set(id, group);
      }
      if (groups.size === 0) groups.set('', { ports: [], endpoints: [] });
      out.push(...[...groups.values()].map((group) => ({ addressType, ...group })));
    }
    return out;
  }
}
