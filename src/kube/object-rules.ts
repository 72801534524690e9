/**
 * Rules between the fields of one object, which a schema cannot say or cannot say well: checked once the schema holds
 * (k8s.io/kubernetes pkg/apis/core/validation).
 */
import { isV4, parseAddress, word4 } from '../wire/address.ts';
import type { Endpoints, KubeObject, Node, Pod, Service } from './objects.ts';
import type { FieldPath, Violation } from './validate.ts';

/** The pod's address, where the writer fixes it. */
export const ADDRESS_ANNOTATION = 'weft.dev/ip';

export function objectRules(object: KubeObject): Violation[] {
  switch (object.kind) {
    case 'Node':
      return nodeRules(object);
    case 'Pod':
      return podRules(object);
    case 'Service':
      return serviceRules(object);
    case 'Endpoints':
      return endpointsRules(object);
  }
}

function nodeRules(node: Node): Violation[] {
  const out: Violation[] = [];
  (node.status?.addresses ?? []).forEach((a, i) => {
    if ((a.type === 'InternalIP' || a.type === 'ExternalIP') && !parseAddress(a.address)) {
      out.push({ path: ['status', 'addresses', i, 'address'], message: `must be an IP address, not "${a.address}"` });
    }
  });
  return out;
}

function podRules(pod: Pod): Violation[] {
  const out: Violation[] = [];
  const fixed = pod.metadata.annotations?.[ADDRESS_ANNOTATION];
  if (fixed !== undefined) {
    const address = parseAddress(fixed);
    if (!address || !isV4(address)) {
      const path = ['metadata', 'annotations', ADDRESS_ANNOTATION];
      out.push({ path, message: `must be an IPv4 address, not "${fixed}"` });
    }
  }
  const spec = pod.spec;
  const containers = [...(spec.initContainers ?? []), ...spec.containers];
  const initCount = spec.initContainers?.length ?? 0;
  doubles(
    containers.map((c) => c.name),
    (i) => ['spec', i < initCount ? 'initContainers' : 'containers', i < initCount ? i : i - initCount, 'name'],
    out,
  );
  if (spec.dnsPolicy === 'None' && !spec.dnsConfig?.nameservers?.length) {
    out.push({ path: ['spec', 'dnsConfig', 'nameservers'], message: 'is required with dnsPolicy None' });
  }
  return out;
}

function serviceRules(service: Service): Violation[] {
  const out: Violation[] = [];
  const spec = service.spec;
  const ports = spec.ports ?? [];
  const headless = spec.clusterIP === 'None';
  if (spec.type === 'ExternalName') {
    if (!spec.externalName) out.push({ path: ['spec', 'externalName'], message: 'is required with type ExternalName' });
    if (spec.clusterIP) out.push({ path: ['spec', 'clusterIP'], message: 'must be empty with type ExternalName' });
  } else if (ports.length === 0 && !headless) {
    out.push({ path: ['spec', 'ports'], message: 'is required, unless clusterIP is None' });
  }
  if (headless && (spec.type === 'NodePort' || spec.type === 'LoadBalancer')) {
    out.push({ path: ['spec', 'clusterIP'], message: `must not be None with type ${spec.type}` });
  }
  const first = spec.clusterIPs?.[0];
  if (first !== undefined && spec.clusterIP !== undefined && first !== spec.clusterIP) {
    out.push({ path: ['spec', 'clusterIPs', 0], message: `must be the same as clusterIP ("${spec.clusterIP}")` });
  }
  const address = spec.clusterIP ? parseAddress(spec.clusterIP) : undefined;
  if (address && !isHostAddress(address)) out.push({ path: ['spec', 'clusterIP'], message: UNUSABLE });
  if (ports.length > 1) {
    ports.forEach((p, i) => {
      if (!p.name)
        out.push({ path: ['spec', 'ports', i, 'name'], message: 'is required where there are several ports' });
    });
  }
  doubles(
    ports.map((p) => p.name),
    (i) => ['spec', 'ports', i, 'name'],
    out,
  );
  doubles(
    ports.map((p) => `${p.port}/${p.protocol ?? 'TCP'}`),
    (i) => ['spec', 'ports', i, 'port'],
    out,
  );
  return out;
}

function endpointsRules(endpoints: Endpoints): Violation[] {
  const out: Violation[] = [];
  (endpoints.subsets ?? []).forEach((subset, s) => {
    for (const list of ['addresses', 'notReadyAddresses'] as const) {
      (subset[list] ?? []).forEach((a, i) => {
        const address = parseAddress(a.ip);
        if (address && !isHostAddress(address)) {
          out.push({ path: ['subsets', s, list, i, 'ip'], message: UNUSABLE });
        }
      });
    }
    const ports = subset.ports ?? [];
    if (ports.length > 1) {
      ports.forEach((p, i) => {
        const path = ['subsets', s, 'ports', i, 'name'];
        if (!p.name) out.push({ path, message: 'is required where there are several ports' });
      });
    }
    doubles(
      ports.map((p) => p.name),
      (i) => ['subsets', s, 'ports', i, 'name'],
      out,
    );
  });
  return out;
}

const UNUSABLE = 'must not be a loopback, link-local, multicast, broadcast or unspecified address';

/** IPv4 only: nothing of the kind is carried for IPv6. */
function isHostAddress(words: readonly [number, number, number, number]): boolean {
  if (!isV4(words)) return true;
  const address = word4(words);
  const first = address >>> 24;
  return first !== 0 && first !== 127 && first < 224 && address >>> 16 !== 0xa9fe;
}

/** Says where a value stands a second time. Absent values do not count. */
function doubles(values: readonly (string | undefined)[], path: (i: number) => FieldPath, out: Violation[]): void {
  const seen = new Set<string>();
  values.forEach((value, i) => {
    if (value === undefined || value === '') return;
    if (seen.has(value)) out.push({ path: path(i), message: `stands twice: ${value}` });
    seen.add(value);
  });
}
