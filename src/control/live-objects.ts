/**
 * An API's objects as one node's network can use them. In an API everything comes step by step: a Node before its
 * podCIDR, a Pod before its node and its address, a Service before its clusterIP. What is not ready is not there yet,
 * and nobody's fault. The node's own pods have the addresses that it gave them, whatever the API says already.
 */
import type { Node, ObjectSet, Pod, Service } from '../kube/objects.ts';
import { formatAddress, type Words } from '../wire/address.ts';

/**
 * `own`: by `namespace/name` the addresses of the node's pods, those that are not among them are not there yet;
 * undefined where somebody else runs the node's pods, and says their addresses.
 */
export function liveObjects(
  objects: ObjectSet,
  nodeName: string,
  own: ReadonlyMap<string, readonly Words[]> | undefined,
): ObjectSet {
  const pods = new Map<string, Pod>();
  for (const [key, pod] of objects.pods) {
    const { spec, status } = pod;
    const addresses = spec.nodeName === nodeName ? own?.get(key) : undefined;
    const isElsewhere = spec.nodeName !== undefined && (spec.nodeName !== nodeName || own === undefined);
    if (addresses) pods.set(key, withAddresses(pod, addresses));
    else if (hasFinished(pod) || (isElsewhere && (spec.hostNetwork || status?.podIP))) pods.set(key, pod);
  }
  return {
    ...objects,
    nodes: filtered(objects.nodes, (node) => node.metadata.name === nodeName || isPlaced(node)),
    pods,
    services: filtered(objects.services, isAllocated),
  };
}

/** Such a pod has no address any more, wherever it ran. */
export function hasFinished({ status }: Pick<Pod, 'status'>): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed';
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
