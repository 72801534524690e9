/**
 * What of a pod can still change once it is there (k8s.io/kubernetes pkg/apis/core/validation, ValidatePodUpdate): all
 * else would need another pod. Its node is given to it once.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Violation } from '../../kube/violation.ts';
import type { ApiObject } from '../api-object.ts';
import { listAt, textAt } from './fields.ts';
import { podDefaults } from './pod-spec.ts';

const MESSAGE =
  'pod updates may not change fields other than `spec.containers[*].image`, `spec.initContainers[*].image`, ' +
  '`spec.activeDeadlineSeconds`, `spec.tolerations` (only additions to existing tolerations)';

/** Rules between a pod and what it was. */
export function podUpdateRules(pod: ApiObject, stored: ApiObject): Violation[] {
  // A change of its status leaves it as it is.
  if (pod.spec === stored.spec) return [];
  // It may have been stored when less was filled in.
  const old = { ...stored, spec: podDefaults(stored.spec) };
  const out: Violation[] = [];
  if (!isDeepStrictEqual(fixed(pod, stored), fixed(old, stored))) out.push({ path: ['spec'], message: MESSAGE });
  const tolerations = listAt(pod, 'spec', 'tolerations');
  const isKept = (one: unknown) => tolerations.some((other) => isDeepStrictEqual(one, other));
  if (!listAt(old, 'spec', 'tolerations').every(isKept)) {
    out.push({ path: ['spec', 'tolerations'], message: 'existing tolerations may not be changed or taken away' });
  }
  const gates = new Set(listAt(old, 'spec', 'schedulingGates').map(({ name }) => name));
  if (!listAt(pod, 'spec', 'schedulingGates').every(({ name }) => gates.has(name))) {
    out.push({ path: ['spec', 'schedulingGates'], message: 'only deletion is allowed' });
  }
  return out;
}

/** A pod's spec without what may differ from the old one's, which comes as it is stored. */
function fixed(pod: ApiObject, old: ApiObject): object {
  const { activeDeadlineSeconds: _, tolerations: __, schedulingGates, ...spec } = pod.spec ?? {};
  const imageless = (field: string) =>
    listAt(pod, 'spec', field).map(({ image, imagePullPolicy, ...container }, i) => {
      // Where nobody said it, it follows the image.
      const isSaid = listAt(old, 'spec', field)[i]?.imagePullPolicy !== undefined;
      return isSaid ? { ...container, imagePullPolicy } : container;
    });
  const rest: Record<string, unknown> = {
    ...spec,
    containers: imageless('containers'),
    initContainers: imageless('initContainers'),
  };
  if (textAt(old, 'spec', 'nodeName') === '') delete rest.nodeName;
  // Nobody has looked for a node yet.
  if (listAt(old, 'spec', 'schedulingGates').length > 0) {
    delete rest.nodeSelector;
    delete rest.affinity;
  }
  return rest;
}
