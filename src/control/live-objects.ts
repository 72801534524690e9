/**
 * An API's objects as one node's network can use them. In an API everything comes step by step: a Node before its
 * podCIDR, a Pod before its node and its address, a Service before its clusterIP. What is not ready is not there yet,
 * and nobody's fault. The node's own pods have the addresses that it gave them, whatever the API says already.
 */
import type { Node, ObjectSet, Pod, Service } from '../kube/objects.ts';
import { formatAddress, type Words } from '../wire/address.ts';

/** `own`: by `namespace/name` the addresses of the node's pods; those that are not among them are not there yet. */
export function liveObjects(
  objects: ObjectSet,
  nodeName: string,
  own: ReadonlyMap<string, readonly Words[]>,
): ObjectSet {
  const pods = new Map<string, Pod>();
  for (const [key, pod] of objects.pods) {
    if (pod.spec.nodeName === nodeName) {
      const addresses = own.get(key);
      if (addresses) pods.set(key, withAddresses(pod, addresses));
    } else if (pod.spec.nodeName && (pod.spec.hostNetwork || pod.status?.podIP)) pods.set(key, pod);
  }
  return {
    ...objects,
    nodes: filtered(objects.nodes, (node) => node.metadata.name === nodeName || isPlaced(node)),
    pods,
    services: filtered(objects.services, isAllocated),
  };
}

/** The status of a pod of ours is what we make of it: what stands in the API may be older. */
function withAddresses(pod: Pod, addresses: readonly Words[]): Pod {
  const [first, ...others] = addresses.map(formatAddress);
  if (first === undefined) return { ...pod, status: {} };
  return { ...pod, status: { podIP: first, podIPs: [first, ...others].map((ip) => ({ ip })) } };
}

function isPlaced({ spec, status }: Node): boolean {
  const hasRange = spec?.podCIDR !== undefined || (spec?.podCIDRs?.length ?? 0) > 0;
  return hasRange && status?.addresses?.some(({ type }) => type === 'InternalIP') === true;
}

function isAllocated({ spec }: Service): boolean {
  return spec.type === 'ExternalName' || Boolean(spec.clusterIP) || (spec.clusterIPs?.length ?? 0) > 0;
}

function filtered<T>(map: ReadonlyMap<string, T>, keep: (value: T) => boolean): ReadonlyMap<string, T> {
  for (const value of map.values()) if (!keep(value)) return new Map([...map].filter(([, each]) => keep(each)));
  return map;
}
