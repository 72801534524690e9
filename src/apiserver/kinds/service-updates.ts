/**
 * What an update of a Service keeps, drops and cannot change (k8s.io/kubernetes pkg/registry/core/service: strategy.go
 * and storage/alloc.go). Who applies a manifest again, or replaces the object by it, wrote no addresses and no node
 * ports: those that were given stay.
 */
import type { Service } from '../../kube/objects.ts';
import type { Violation } from '../../kube/violation.ts';
import type { ApiObject } from '../api-object.ts';

type Spec = Service['spec'];
type Port = NonNullable<Spec['ports']>[number];

/** Fills in, of what the update leaves out, what is the service's own; changes the object. */
export function inheritService(object: ApiObject, old: ApiObject): void {
  const spec = (object.spec ?? {}) as Spec;
  const before = (old.spec ?? {}) as Spec;
  keepAddresses(spec, before);
  keepPorts(spec, before);
  if (spec.type !== 'LoadBalancer' && before.type === 'LoadBalancer') {
    dropSame(spec, before, ['allocateLoadBalancerNodePorts', 'loadBalancerClass']);
    object.status = { ...object.status, loadBalancer: {} };
  }
}

/** Rules between a Service and what it was. */
export function serviceUpdateRules(object: ApiObject, old: ApiObject): Violation[] {
  const spec = (object.spec ?? {}) as Spec;
  const before = (old.spec ?? {}) as Spec;
  if (!hasAddress(spec) || !hasAddress(before)) return [];
  const out: Violation[] = [];
  const [address] = spec.clusterIPs ?? [spec.clusterIP];
  if (before.clusterIP && address !== before.clusterIP) {
    out.push({ path: ['spec', 'clusterIPs', 0], message: `may not change once set: it is ${before.clusterIP}` });
  }
  const [family] = before.ipFamilies ?? [];
  if (family && spec.ipFamilies?.[0] && spec.ipFamilies[0] !== family) {
    out.push({ path: ['spec', 'ipFamilies', 0], message: `may not change once set: it is ${family}` });
  }
  const [, second] = before.clusterIPs ?? [];
  const other = spec.clusterIPs?.[1];
  if (second && other && other !== second) {
    out.push({ path: ['spec', 'clusterIPs', 1], message: `may not change once set: it is ${second}` });
  }
  return out;
}

function keepAddresses(spec: Spec, before: Spec): void {
  if (!hasAddress(before)) {
    if (hasAddress(spec)) dropSame(spec, before, ['externalName']);
    return;
  }
  if (!hasAddress(spec)) {
    dropSame(spec, before, ['clusterIP', 'clusterIPs', 'ipFamilies', 'ipFamilyPolicy', 'internalTrafficPolicy']);
    // Who empties clusterIP to say so leaves the list as it was.
    if (!spec.clusterIP) delete spec.clusterIPs;
    return;
  }
  const listed = (spec.clusterIPs?.length ?? 0) > 0;
  if (!spec.clusterIP) {
    const kept = listed ? spec.clusterIPs?.[0] : before.clusterIP;
    if (kept !== undefined) spec.clusterIP = kept;
  }
  // Who changes clusterIP alone means the list's first.
  if (spec.clusterIP && listed && spec.clusterIPs?.join() === before.clusterIPs?.join()) {
    spec.clusterIPs = [spec.clusterIP, ...(spec.clusterIPs ?? []).slice(1)];
  }
  if (!listed && spec.clusterIP === before.clusterIP && before.clusterIPs) spec.clusterIPs = [...before.clusterIPs];
  if (!spec.ipFamilies?.length && before.ipFamilies) spec.ipFamilies = [...before.ipFamilies];
  const sameFamilies = spec.ipFamilies?.join() === before.ipFamilies?.join();
  if (!spec.ipFamilyPolicy && sameFamilies && before.ipFamilyPolicy) spec.ipFamilyPolicy = before.ipFamilyPolicy;
  // Nothing is said but that one family is enough: the first stays.
  const shrinks = spec.ipFamilyPolicy === 'SingleStack' && before.ipFamilyPolicy !== 'SingleStack';
  if (shrinks && sameFamilies && spec.clusterIPs?.join() === before.clusterIPs?.join()) {
    if (spec.ipFamilies) spec.ipFamilies = spec.ipFamilies.slice(0, 1);
    if (spec.clusterIPs) spec.clusterIPs = spec.clusterIPs.slice(0, 1);
  }
}

function keepPorts(spec: Spec, before: Spec): void {
  const ports = Array.isArray(spec.ports) ? spec.ports : [];
  const olds = Array.isArray(before.ports) ? before.ports : [];
  if (hasNodePorts(spec)) {
    const written = new Set(ports.map((port) => keyOf(port, port.nodePort)));
    const given = new Set<Port>();
    const take = (port: Port, isIt: (old: Port) => boolean) => {
      const own = olds.find(
        (old) => old.nodePort && !given.has(old) && protocolOf(old) === protocolOf(port) && isIt(old),
      );
      if (port.nodePort || !own || written.has(keyOf(port, own.nodePort))) return;
      port.nodePort = own.nodePort as number;
      given.add(own);
    };
    for (const port of ports) take(port, (old) => old.port === port.port);
    for (const port of ports) take(port, (old) => (old.name ?? '') === (port.name ?? ''));
  } else if (hasNodePorts(before)) {
    const known = new Set(olds.map((old) => keyOf(old, old.nodePort)));
    for (const port of ports) if (known.has(keyOf(port, port.nodePort))) delete port.nodePort;
    dropSame(spec, before, ['externalTrafficPolicy']);
  }
  if (!hasHealthPort(before)) return;
  if (!hasHealthPort(spec)) dropSame(spec, before, ['healthCheckNodePort']);
  else if (!spec.healthCheckNodePort && before.healthCheckNodePort) {
    spec.healthCheckNodePort = before.healthCheckNodePort;
  }
}

/** What was only ever right for what the service was, and is left as it stood. */
function dropSame(spec: Spec, before: Spec, fields: readonly (keyof Spec)[]): void {
  for (const field of fields) {
    if (JSON.stringify(spec[field]) === JSON.stringify(before[field])) delete spec[field];
  }
}

function hasAddress({ type }: Spec): boolean {
  return type !== 'ExternalName';
}

function hasNodePorts({ type }: Spec): boolean {
  return type === 'NodePort' || type === 'LoadBalancer';
}

function hasHealthPort({ type, externalTrafficPolicy }: Spec): boolean {
  return type === 'LoadBalancer' && externalTrafficPolicy === 'Local';
}

function protocolOf({ protocol }: Port): string {
  return protocol ?? 'TCP';
}

function keyOf(port: Port, nodePort: number | undefined): string {
  return `${nodePort ?? ''}/${protocolOf(port)}`;
}
