/**
 * What a node may write, after Kubernetes' node authorizer and its NodeRestriction: its own Node and Lease, events, and
 * the status of pods that run on it. By the path first; what only objects say is checked where they are at hand.
 */
import { isDeepStrictEqual } from 'node:util';
import { ApiError } from '../api-error.ts';
import { type ApiObject, fieldAt } from '../api-object.ts';
import type { Resource } from '../kinds/resource.ts';
import type { ResourcePath } from '../rest/api-path.ts';

/** Where nodes keep their Leases. */
const LEASE_NAMESPACE = 'kube-node-lease';
/** Labels in Kubernetes' name are given by others, who say by them what a node is trusted with; but for these. */
const RESERVED_DOMAIN = /(?:^|\.)(?:kubernetes|k8s)\.io$/;
const OWN_DOMAIN = /(?:^|\.)(?:kubelet|node)\.kubernetes\.io$/;
const OWN_LABELS: ReadonlySet<string> = new Set([
  'kubernetes.io/hostname',
  'kubernetes.io/os',
  'kubernetes.io/arch',
  'beta.kubernetes.io/os',
  'beta.kubernetes.io/arch',
  'beta.kubernetes.io/instance-type',
  'topology.kubernetes.io/zone',
  'topology.kubernetes.io/region',
  'failure-domain.beta.kubernetes.io/zone',
  'failure-domain.beta.kubernetes.io/region',
]);
/** Decided by administrators and controllers, not by the node. */
const DECIDED: readonly (readonly string[])[] = [
  ['spec', 'podCIDR'],
  ['spec', 'podCIDRs'],
  ['spec', 'unschedulable'],
];

/** By the path alone. */
export function mayNodeWrite(node: string, path: ResourcePath, method: string): boolean {
  const { group, plural, name, subresource, namespace } = path;
  const own = name === node || (method === 'POST' && name === '');
  const whole = subresource === '';
  if (group === '' && plural === 'nodes') return own && method !== 'DELETE' && (whole || subresource === 'status');
  if (group === 'coordination.k8s.io' && plural === 'leases') return own && whole && namespace === LEASE_NAMESPACE;
  if (group === '' && plural === 'events')
    return whole && (method === 'POST' || method === 'PATCH' || method === 'PUT');
  if (group === '' && plural === 'pods')
    return subresource === 'status' || (method === 'DELETE' && name !== '' && whole);
  return false;
}

/** Throws ApiError Forbidden. */
export function checkNodeCreates(node: string, resource: Resource, object: ApiObject): void {
  if (resource.kind === 'Event') checkEvent(node, object);
  else if (object.metadata?.name !== node) throw refused(node, 'may create only what has its own name');
  else if (resource.kind === 'Node') checkNode(node, undefined, object);
}

/** `next` is undefined for a deletion. Throws ApiError Forbidden. */
export function checkNodeChanges(
  node: string,
  resource: Resource,
  current: ApiObject,
  next: ApiObject | undefined,
): void {
  if (resource.kind === 'Pod' && fieldAt(current, ['spec', 'nodeName']) !== node) {
    const { namespace, name } = current.metadata;
    throw refused(node, `may not change pod ${namespace}/${name}: it runs elsewhere`);
  }
  if (resource.kind === 'Event') for (const event of [current, next]) if (event) checkEvent(node, event);
  if (resource.kind === 'Node' && next) checkNode(node, current, next);
}

function checkNode(node: string, current: ApiObject | undefined, next: ApiObject): void {
  for (const path of DECIDED) {
    if (!isDeepStrictEqual(fieldAt(current, path), fieldAt(next, path))) {
      throw refused(node, `may not set ${path.join('.')}: it is decided for it`);
    }
  }
  // Taints it may come with, not shed.
  if (current && !isDeepStrictEqual(fieldAt(current, ['spec', 'taints']), fieldAt(next, ['spec', 'taints']))) {
    throw refused(node, 'may not change its taints');
  }
  const [before, after] = [labelsOf(current), labelsOf(next)];
  const changed = Object.keys({ ...before, ...after }).find((key) => before[key] !== after[key] && isReserved(key));
  if (changed !== undefined) throw refused(node, `may not set label ${changed}: others give it`);
}

function labelsOf(object: ApiObject | undefined): Readonly<Record<string, unknown>> {
  return (fieldAt(object, ['metadata', 'labels']) ?? {}) as Record<string, unknown>;
}

function isReserved(label: string): boolean {
  const [domain = '', name] = label.split('/', 2);
  if (name === undefined || !RESERVED_DOMAIN.test(domain)) return false;
  return !OWN_LABELS.has(label) && !OWN_DOMAIN.test(domain);
}

/** Where an event says which host it comes from, it is this one. */
function checkEvent(node: string, event: ApiObject): void {
  const host = fieldAt(event, ['source', 'host']);
  if (host !== undefined && host !== '' && host !== node) throw refused(node, `may not speak for ${String(host)}`);
}

function refused(node: string, why: string): ApiError {
  return new ApiError('Forbidden', `node ${node} ${why}`);
}
