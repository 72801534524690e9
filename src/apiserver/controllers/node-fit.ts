/**
 * Whether a pod may run on a node, and why not: the filters of Kubernetes' scheduler (pkg/scheduler/framework/plugins)
 * in its words. Each reason reads on after a count of nodes.
 */
import type { NodeSelectorTerm, NodeSpec, PodSpec, Taint, Toleration } from 'kubernetes-types/core/v1.js';
import { selects } from '../../kube/selector.ts';
import { type ApiObject, fieldAt } from '../api-object.ts';
import { listAt } from '../kinds/fields.ts';
import { type Amounts, capacityOf, type NodeLoad } from './node-load.ts';

/** Pods that a node takes that does not say how many. */
const MOST_PODS = 110;
const UNSCHEDULABLE: Taint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' };

export const specOf = (pod: ApiObject): PodSpec => pod.spec as unknown as PodSpec;
const taintsOf = (node: ApiObject): readonly Taint[] => (node.spec as unknown as NodeSpec | undefined)?.taints ?? [];

/** Empty: it may. `requests`: of the pod, who is held against many nodes. */
export function misfits(pod: ApiObject, requests: Amounts, node: ApiObject, load: NodeLoad): string[] {
  const spec = specOf(pod);
  const { tolerations = [] } = spec;
  if (fieldAt(node, ['spec', 'unschedulable']) === true && !isTolerated(UNSCHEDULABLE, tolerations)) {
    return ['node(s) were unschedulable'];
  }
  const ready = listAt(node, 'status', 'conditions').find(({ type }) => type === 'Ready')?.status;
  const taints = taintsOf(node).filter(({ effect }) => effect !== 'PreferNoSchedule');
  const taint = taints.find((one) => !isTolerated(one, tolerations));
  if (taint) return [`node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`];
  if (ready !== 'True') return ['node(s) were not ready'];
  if (!matchesNode(spec, node)) return ["node(s) didn't match Pod's node affinity/selector"];
  if (portsClash(pod, load)) return ["node(s) didn't have free ports for the requested pod ports"];
  return shortages(requests, node, load);
}

/** Taints that would rather have the pod elsewhere. */
export function dislikes(pod: ApiObject, node: ApiObject): number {
  const { tolerations = [] } = specOf(pod);
  return taintsOf(node).filter((t) => t.effect === 'PreferNoSchedule' && !isTolerated(t, tolerations)).length;
}

/** Sum of the weights of the preferences that the node fulfils. */
export function preference(pod: ApiObject, node: ApiObject): number {
  const wanted = specOf(pod).affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
  return wanted.reduce((sum, { weight, preference }) => sum + (fulfils(preference, node) ? weight : 0), 0);
}

export function isTolerated({ key, value = '', effect }: Taint, tolerations: readonly Toleration[]): boolean {
  return tolerations.some((t) => {
    if (t.effect && t.effect !== effect) return false;
    if (t.key && t.key !== key) return false;
    // No key tolerates everything, with Exists alone.
    if (t.operator === 'Exists') return true;
    return t.key !== undefined && t.key !== '' && (t.value ?? '') === value;
  });
}

/** nodeSelector, and what a node affinity requires. */
export function matchesNode({ nodeSelector, affinity }: Pick<PodSpec, 'nodeSelector' | 'affinity'>, node: ApiObject) {
  if (nodeSelector && !selects({ matchLabels: nodeSelector }, node.metadata.labels ?? {})) return false;
  const required = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return required === undefined || required.nodeSelectorTerms.some((term) => fulfils(term, node));
}

/** All expressions of a term; an empty term matches nothing. */
function fulfils({ matchExpressions = [], matchFields = [] }: NodeSelectorTerm, node: ApiObject): boolean {
  if (matchExpressions.length + matchFields.length === 0) return false;
  const labels = node.metadata.labels ?? {};
  const name = { 'metadata.name': node.metadata.name };
  return matchExpressions.every((e) => holds(e, labels)) && matchFields.every((e) => holds(e, name));
}

function holds(
  { key, operator, values = [] }: { key: string; operator: string; values?: string[] },
  labels: Readonly<Record<string, string>>,
): boolean {
  if (operator !== 'Gt' && operator !== 'Lt') return selects({ matchExpressions: [{ key, operator, values }] }, labels);
  const value = Number(Object.hasOwn(labels, key) ? labels[key] : Number.NaN);
  const limit = Number(values[0] ?? Number.NaN);
  return operator === 'Gt' ? value > limit : value < limit;
}

/** `TCP/0.0.0.0/80` of each port that the pod takes of the node itself. */
function hostPorts(pod: ApiObject): { protocol: string; address: string; port: number }[] {
  const { hostNetwork, containers = [] } = specOf(pod);
  return containers.flatMap(({ ports = [] }) =>
    ports.flatMap(({ hostPort, hostIP, containerPort, protocol = 'TCP' }) => {
      const port = hostPort || (hostNetwork ? containerPort : 0);
      return port ? [{ protocol, address: hostIP || '0.0.0.0', port }] : [];
    }),
  );
}

function portsClash(pod: ApiObject, load: NodeLoad): boolean {
  const wanted = hostPorts(pod);
  if (wanted.length === 0) return false;
  const taken = [...load.pods.values()].flatMap(hostPorts);
  return wanted.some((w) =>
    taken.some(
      (t) =>
        t.port === w.port &&
        t.protocol === w.protocol &&
        (t.address === w.address || t.address === '0.0.0.0' || w.address === '0.0.0.0'),
    ),
  );
}

function shortages(requests: Amounts, node: ApiObject, load: NodeLoad): string[] {
  const has = capacityOf(node);
  const out = load.pods.size >= (has.get('pods') ?? MOST_PODS) ? ['Too many pods'] : [];
  for (const [name, amount] of requests) {
    if (amount === 0) continue;
    // A node that does not say what it has of processors and memory has enough; of anything else it has none.
    const usual = name === 'cpu' || name === 'memory' || name === 'ephemeral-storage';
    const most = has.get(name) ?? (usual ? Number.POSITIVE_INFINITY : 0);
    if ((load.amounts.get(name) ?? 0) + amount > most + 1e-9) out.push(`Insufficient ${name}`);
  }
  return out;
}
