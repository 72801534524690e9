/**
 * Who stands behind a service: what its EndpointSlices say where there are any, else what an Endpoints object says,
 * else the pods that the service's selector names, with named target ports looked up in each pod (k8s.io/kubernetes
 * pkg/controller/endpointslice, pkg/proxy/endpointslicecache.go).
 */
import type { EndpointSlice, Endpoints, Pod, Service } from '../kube/objects.ts';
import { parseAddress } from '../wire/address.ts';
import { type AddressFamily, familyOf } from './address-family.ts';
import { carriedProtocol } from './carried-protocol.ts';
import type { ClusterEndpoint, EndpointPort, PortTarget } from './model.ts';
import type { PodIndex } from './pod-index.ts';
import { compareWords } from './target-order.ts';

export const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';

/** What somebody wrote down for a service. */
export interface WrittenEndpoints {
  endpoints?: Endpoints | undefined;
  slices?: readonly EndpointSlice[] | undefined;
}

export interface Backends {
  /** Those that new connections go to, in address order, one entry per address and hostname. */
  ready: readonly ClusterEndpoint[];
  /** Those that are ending and still serve: for ports of which nobody is ready. */
  leaving: readonly ClusterEndpoint[];
}

/** Slices by `namespace/name` of their service, each list in order of name. */
export function slicesByService(slices: ReadonlyMap<string, EndpointSlice>): Map<string, EndpointSlice[]> {
  const out = new Map<string, EndpointSlice[]>();
  for (const key of [...slices.keys()].sort()) {
    const slice = slices.get(key) as EndpointSlice;
    const service = slice.metadata.labels?.[SERVICE_NAME_LABEL];
    if (service === undefined) continue;
    const id = `${slice.metadata.namespace}/${service}`;
    const list = out.get(id);
    if (list) list.push(slice);
    else out.set(id, [slice]);
  }
  return out;
}

/** `families`: those of which pods' addresses are wanted. */
export function buildBackends(
  service: Service,
  families: readonly AddressFamily[],
  written: WrittenEndpoints,
  pods: PodIndex,
): Backends {
  const found: { ready: ClusterEndpoint[]; leaving: ClusterEndpoint[] } = { ready: [], leaving: [] };
  if (written.slices) fromSlices(service, written.slices, found);
  else if (written.endpoints) fromObject(service, written.endpoints, found);
  else fromSelector(service, families, pods, found);
  if (written.slices ?? written.endpoints) {
    found.ready = found.ready.map((e) => placed(e, pods));
    found.leaving = found.leaving.map((e) => placed(e, pods));
  }
  return { ready: merge(found.ready), leaving: merge(found.leaving) };
}

/** Where one port of the service leads, in (address, port) order, without doubles. */
export function portTargets(endpoints: readonly ClusterEndpoint[], name: string, protocol: string): PortTarget[] {
  const out: PortTarget[] = [];
  for (const e of endpoints) {
    for (const p of e.ports) {
      if (p.name !== name || p.protocol !== protocol) continue;
      out.push({
        address: e.address,
        port: p.port,
        ...(e.nodeName === undefined ? {} : { nodeName: e.nodeName }),
        ...(e.weight === undefined ? {} : { weight: e.weight }),
      });
    }
  }
  out.sort((a, b) => compareWords(a.address, b.address) || a.port - b.port);
  return out.filter((t, i) => {
    const before = out[i - 1];
    return !before || compareWords(before.address, t.address) !== 0 || before.port !== t.port;
  });
}

interface Found {
  ready: ClusterEndpoint[];
  leaving: ClusterEndpoint[];
}

function fromSelector(service: Service, families: readonly AddressFamily[], index: PodIndex, found: Found): void {
  const { selector, ports = [], publishNotReadyAddresses } = service.spec;
  if (!selector) return;
  for (const pod of index.select(service.metadata.namespace, selector)) {
    const isReady = pod.ready || publishNotReadyAddresses === true;
    if (!isReady && !isLeaving(pod.object)) continue;
    const open: EndpointPort[] = [];
    for (const p of ports) {
      const protocol = carriedProtocol(p.protocol);
      const port = protocol && targetPort(p.targetPort || p.port, protocol, pod.object);
      if (port !== undefined) open.push({ name: p.name ?? '', protocol: protocol as 'TCP' | 'UDP', port });
    }
    // A pod without any of the ports stands behind none of them.
    if (ports.length > 0 && open.length === 0) continue;
    const named = pod.object.spec.hostname && pod.subdomain === service.metadata.name;
    const weight = index.weightOf(`${pod.namespace}/${pod.name}`);
    const list = isReady ? found.ready : found.leaving;
    for (const address of pod.addresses) {
      if (!families.includes(familyOf(address))) continue;
      list.push({
        address,
        nodeName: pod.nodeName,
        pod: `${pod.namespace}/${pod.name}`,
        ports: open,
        ...(named ? { hostname: pod.hostname } : {}),
        ...(weight === undefined ? {} : { weight }),
      });
    }
  }
}

/** Is being deleted, and nothing says that it does not serve any more. */
function isLeaving(pod: Pod): boolean {
  if (!pod.metadata.deletionTimestamp) return false;
  const condition = pod.status?.conditions?.find((c) => c.type === 'Ready');
  return !condition || condition.status === 'True';
}

/** The port of a pod that a service names; undefined where the pod has none of that name. */
export function targetPort(wanted: string | number, protocol: string, pod: Pod): number | undefined {
  if (typeof wanted === 'number') return wanted;
  for (const container of pod.spec.containers) {
    const port = container.ports?.find((p) => p.name === wanted && (p.protocol ?? 'TCP') === protocol);
    if (port) return port.containerPort;
  }
  return undefined;
}

function fromObject(service: Service, written: Endpoints, found: Found): void {
  for (const subset of written.subsets ?? []) {
    const ports = carriedPorts(subset.ports ?? []);
    const late = service.spec.publishNotReadyAddresses ? (subset.notReadyAddresses ?? []) : [];
    for (const a of [...(subset.addresses ?? []), ...late]) {
      const address = parseAddress(a.ip);
      if (address) found.ready.push({ address, ports, ...whose(a, written.metadata.namespace) });
    }
  }
}

function fromSlices(service: Service, slices: readonly EndpointSlice[], found: Found): void {
  for (const slice of slices) {
    // Names to resolve are nobody's address; said by whoever builds the model.
    if (slice.addressType === 'FQDN') continue;
    const ports = carriedPorts(slice.ports ?? []);
    for (const e of slice.endpoints ?? []) {
      const ready = e.conditions?.ready ?? true;
      const serving = e.conditions?.serving ?? ready;
      const leaving = serving && e.conditions?.terminating === true;
      const list = ready || service.spec.publishNotReadyAddresses ? found.ready : leaving ? found.leaving : undefined;
      // All addresses of an endpoint are the same to it: the first is enough (https://issue.k8s.io/106267).
      const address = parseAddress(e.addresses[0] ?? '');
      if (address) list?.push({ address, ports, ...whose(e, slice.metadata.namespace) });
    }
  }
}

function carriedPorts(ports: readonly { name?: string; port?: number; protocol?: string }[]): EndpointPort[] {
  return ports.flatMap(({ name = '', port, protocol: written }) => {
    const protocol = carriedProtocol(written);
    // A slice's port without a number means all ports, which no service can be told to have.
    return protocol && port !== undefined ? [{ name, protocol, port }] : [];
  });
}

function whose(
  entry: { hostname?: string; nodeName?: string; targetRef?: { kind?: string; namespace?: string; name?: string } },
  namespace: string,
): Pick<ClusterEndpoint, 'hostname' | 'nodeName' | 'pod'> {
  const { hostname, nodeName, targetRef } = entry;
  const pod = targetRef?.kind === 'Pod' ? `${targetRef.namespace ?? namespace}/${targetRef.name}` : undefined;
  return { ...(hostname ? { hostname } : {}), ...(nodeName ? { nodeName } : {}), ...(pod ? { pod } : {}) };
}

/**
 * Who writes addresses by hand seldom writes their nodes: an address that is a pod's is where the pod is. Slices have no
 * place for a weight: the pod that is named says it.
 */
function placed(endpoint: ClusterEndpoint, pods: PodIndex): ClusterEndpoint {
  const weight = pods.weightOf(endpoint.pod);
  const own = weight === undefined ? endpoint : { ...endpoint, weight };
  if (own.nodeName !== undefined) return own;
  const pod = pods.at(own.address);
  return pod ? { ...own, nodeName: pod.nodeName } : own;
}

function merge(all: ClusterEndpoint[]): readonly ClusterEndpoint[] {
  const out: ClusterEndpoint[] = [];
  for (const e of all.sort(compareEndpoints)) {
    const last = out.at(-1);
    const isSame = last && last.hostname === e.hostname && compareWords(last.address, e.address) === 0;
    // Pods on a host's network share its address.
    if (isSame) out[out.length - 1] = { ...last, ports: unionPorts(last.ports, e.ports) };
    else out.push(e);
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
    compareWords(a.address, b.address) ||
    compareText(a.hostname ?? '', b.hostname ?? '') ||
    compareText(a.pod ?? '', b.pod ?? '')
  );
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
