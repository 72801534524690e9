/**
 * Who stands behind a service: what an Endpoints object says where there is one, else the ready pods that the
 * service's selector names, with named target ports looked up in each pod (k8s.io/kubernetes
 * pkg/controller/endpoint).
 */

import type { Endpoints, Service } from '../kube/objects.ts';
import { hasLabels } from '../kube/selector.ts';
import { isV4, parseAddress, type Words, word4 } from '../wire/address.ts';
import type { ClusterEndpoint, ClusterPod, EndpointPort, PortTarget } from './model.ts';

/** Pods by namespace and label, so that a thousand services do not each look at every pod. */
export class PodIndex {
  readonly #byLabel = new Map<string, ClusterPod[]>();

  constructor(pods: Iterable<ClusterPod>) {
    for (const pod of pods) {
      for (const [key, value] of Object.entries(pod.labels)) {
        const id = labelId(pod.namespace, key, value);
        const list = this.#byLabel.get(id);
        if (list) list.push(pod);
        else this.#byLabel.set(id, [pod]);
      }
    }
  }

  /** The pods of a namespace that have all labels. A Service without a selector selects nobody. */
  select(namespace: string, selector: Readonly<Record<string, string>>): readonly ClusterPod[] {
    let fewest: readonly ClusterPod[] | undefined;
    for (const [key, value] of Object.entries(selector)) {
      const list = this.#byLabel.get(labelId(namespace, key, value)) ?? [];
      if (!fewest || list.length < fewest.length) fewest = list;
    }
    return fewest?.filter((pod) => hasLabels(selector, pod.labels)) ?? [];
  }
}

/** Endpoints in address order, one entry per address and hostname. */
export function buildEndpoints(
  service: Service,
  written: Endpoints | undefined,
  pods: PodIndex,
): readonly ClusterEndpoint[] {
  const all = written ? fromObject(service, written) : fromSelector(service, pods);
  const merged = new Map<string, ClusterEndpoint>();
  for (const e of all.sort(compareEndpoints)) {
    const id = `${word4(e.address)} ${e.hostname ?? ''}`;
    const known = merged.get(id);
    // Pods on a host's network share its address.
    merged.set(id, known ? { ...known, ports: unionPorts(known.ports, e.ports) } : e);
  }
  return [...merged.values()];
}

/** Where one port of the service leads, in (address, port) order, without doubles. */
export function portTargets(endpoints: readonly ClusterEndpoint[], name: string, protocol: string): PortTarget[] {
  const out: PortTarget[] = [];
  for (const e of endpoints) {
    for (const p of e.ports) {
      if (p.name === name && p.protocol === protocol) out.push({ address: e.address, port: p.port });
    }
  }
  out.sort((a, b) => word4(a.address) - word4(b.address) || a.port - b.port);
  return out.filter((t, i) => {
    const before = out[i - 1];
    return !before || word4(before.address) !== word4(t.address) || before.port !== t.port;
  });
}

function fromSelector(service: Service, index: PodIndex): ClusterEndpoint[] {
  const { selector, ports = [], publishNotReadyAddresses } = service.spec;
  if (!selector) return [];
  const out: ClusterEndpoint[] = [];
  for (const pod of index.select(service.metadata.namespace, selector)) {
    if (!pod.ready && !publishNotReadyAddresses) continue;
    const found: EndpointPort[] = [];
    for (const p of ports) {
      const protocol = p.protocol === 'UDP' ? 'UDP' : 'TCP';
      const port = targetPort(p.targetPort || p.port, protocol, pod);
      if (port !== undefined) found.push({ name: p.name ?? '', protocol, port });
    }
    // A pod without any of the ports stands behind none of them.
    if (ports.length > 0 && found.length === 0) continue;
    const named = pod.object.spec.hostname && pod.subdomain === service.metadata.name;
    out.push({
      address: pod.address,
      nodeName: pod.nodeName,
      pod: `${pod.namespace}/${pod.name}`,
      ports: found,
      ...(named ? { hostname: pod.hostname } : {}),
    });
  }
  return out;
}

function targetPort(wanted: string | number, protocol: string, pod: ClusterPod): number | undefined {
  if (typeof wanted === 'number') return wanted;
  for (const container of pod.object.spec.containers) {
    const port = container.ports?.find((p) => p.name === wanted && (p.protocol ?? 'TCP') === protocol);
    if (port) return port.containerPort;
  }
  return undefined;
}

function fromObject(service: Service, written: Endpoints): ClusterEndpoint[] {
  const out: ClusterEndpoint[] = [];
  for (const subset of written.subsets ?? []) {
    const ports = (subset.ports ?? []).map((p): EndpointPort => {
      return { name: p.name ?? '', protocol: p.protocol === 'UDP' ? 'UDP' : 'TCP', port: p.port };
    });
    const late = service.spec.publishNotReadyAddresses ? (subset.notReadyAddresses ?? []) : [];
    for (const a of [...(subset.addresses ?? []), ...late]) {
      const address = parseAddress(a.ip);
      // IPv6 is not carried yet: named by whoever builds the model.
      if (!address || !isV4(address)) continue;
      const ref = a.targetRef;
      const pod = ref?.kind === 'Pod' ? `${ref.namespace ?? written.metadata.namespace}/${ref.name}` : undefined;
      out.push({
        address,
        ports,
        ...(a.hostname ? { hostname: a.hostname } : {}),
        ...(a.nodeName ? { nodeName: a.nodeName } : {}),
        ...(pod ? { pod } : {}),
      });
    }
  }
  return out;
}

function unionPorts(a: readonly EndpointPort[], b: readonly EndpointPort[]): readonly EndpointPort[] {
  const out = [...a];
  for (const p of b) {
    if (!out.some((o) => o.name === p.name && o.protocol === p.protocol && o.port === p.port)) out.push(p);
  }
  return out.sort(comparePorts);
}

function comparePorts(a: EndpointPort, b: EndpointPort): number {
  return compareText(a.name, b.name) || compareText(a.protocol, b.protocol) || a.port - b.port;
}

function compareEndpoints(a: ClusterEndpoint, b: ClusterEndpoint): number {
  return (
    word4(a.address) - word4(b.address) ||
    compareText(a.hostname ?? '', b.hostname ?? '') ||
    compareText(a.pod ?? '', b.pod ?? '')
  );
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function labelId(namespace: string, key: string, value: string): string {
  return `${namespace}\0${key}\0${value}`;
}

/** Addresses of an Endpoints object that are not carried. */
export function uncarriedAddresses(written: Endpoints): string[] {
  return (written.subsets ?? [])
    .flatMap((s) => [...(s.addresses ?? []), ...(s.notReadyAddresses ?? [])])
    .map((a) => a.ip)
    .filter((ip) => {
      const words: Words | undefined = parseAddress(ip);
      return !words || !isV4(words);
    });
}
