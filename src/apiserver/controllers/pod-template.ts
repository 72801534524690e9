/** Pods as a workload makes them of its template, and the name of a template's contents. */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { ApiError } from '../api-error.ts';
import type { ApiObject, ObjectMeta } from '../api-object.ts';
import { podSpecDefaults } from '../kinds/pod-spec.ts';
import type { ControllerParts } from './controller-set.ts';
import { controllerReference } from './object-key.ts';

/** metadata and spec of pods to be. */
export interface PodTemplate {
  metadata?: Pick<ObjectMeta, 'labels' | 'annotations' | 'finalizers'>;
  spec?: Record<string, unknown>;
}

const NAME_TRIES = 4;
const SAFE_LETTERS = 'bcdfghjklmnpqrstvwxz2456789';
const HASH_LETTERS = 10;

export const templateOf = (owner: ApiObject): PodTemplate => owner.spec?.template ?? {};

/** A pod of this owner; the caller says its name, or `NAME-` with something random behind. */
export function podOf(owner: ApiObject, template: PodTemplate, name?: string): ApiObject {
  const { labels, annotations, finalizers } = template.metadata ?? {};
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...(name === undefined ? { name: '', generateName: `${owner.metadata.name}-` } : { name }),
      ...(owner.metadata.namespace ? { namespace: owner.metadata.namespace } : {}),
      uid: '',
      resourceVersion: '',
      creationTimestamp: '',
      ...(labels ? { labels: { ...labels } } : {}),
      ...(annotations ? { annotations: { ...annotations } } : {}),
      ...(finalizers ? { finalizers: [...finalizers] } : {}),
      ownerReferences: [controllerReference(owner)],
    },
    spec: structuredClone(template.spec ?? {}),
  };
}

/** Creates a pod and tells of it. A random name that is taken is drawn again. Throws ApiError. */
export async function createPod(
  { objects, table, events }: ControllerParts,
  owner: ApiObject,
  pod: ApiObject,
  component: string,
): Promise<ApiObject> {
  const resource = table.known('', 'v1', 'pods');
  for (let i = 1; ; i++) {
    try {
      const made = await objects.create(resource, owner.metadata.namespace, structuredClone(pod));
      events.record(owner, component, 'Normal', 'SuccessfulCreate', `Created pod: ${made.metadata.name}`);
      return made;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.reason === 'AlreadyExists' && pod.metadata.name === '' && i < NAME_TRIES) continue;
      events.record(owner, component, 'Warning', 'FailedCreate', `Error creating: ${error.message}`);
      throw error;
    }
  }
}

/** Deletes a pod, whose grace it keeps, and tells of it. The revision that did so; 0 where it was gone. */
export async function deletePod(
  { objects, table, events }: ControllerParts,
  owner: ApiObject,
  pod: ApiObject,
  component: string,
): Promise<number> {
  const { namespace, name, uid } = pod.metadata;
  const place = { resource: table.known('', 'v1', 'pods'), namespace, name };
  try {
    const { object } = await objects.delete(place, { preconditions: { uid } });
    events.record(owner, component, 'Normal', 'SuccessfulDelete', `Deleted pod: ${name}`);
    return Number(object.metadata.resourceVersion);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    // Gone, or another by that name.
    if (error.reason === 'NotFound' || error.reason === 'Conflict') return 0;
    events.record(owner, component, 'Warning', 'FailedDelete', `Error deleting: ${error.message}`);
    throw error;
  }
}

/**
 * Whether two values mean the same: an object or a list with nothing in it says no more than one that is not there,
 * and clients in Go write both, and null besides (k8s.io/apimachinery equality.Semantic).
 */
function isSame(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(normalForm(a), normalForm(b));
}

/** Whether two templates make the same pods: one may have been stored when less was filled in. */
export function isSameTemplate(a: PodTemplate, b: PodTemplate): boolean {
  const whole = (template: PodTemplate) => ({ ...template, spec: podSpecDefaults(template.spec) });
  return isSame(whole(a), whole(b));
}

/** Letters that name a value: the same for the same contents, in whatever order its fields stand. */
export function contentHash(value: unknown, salt = ''): string {
  const digest = createHash('sha256')
    .update(salt)
    .update(sortedText(normalForm(value)))
    .digest();
  return Array.from(digest.subarray(0, HASH_LETTERS), (byte) => SAFE_LETTERS[byte % SAFE_LETTERS.length]).join('');
}

/** Undefined where nothing is left. */
function normalForm(value: unknown): unknown {
  if (value === null) return undefined;
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map((item) => normalForm(item) ?? null);
  if (typeof value !== 'object') return value;
  const fields = Object.entries(value).map(([key, field]) => [key, normalForm(field)] as const);
  const left = fields.filter(([, field]) => field !== undefined);
  return left.length === 0 ? undefined : Object.fromEntries(left);
}

function sortedText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(sortedText).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([key, field]) => `${JSON.stringify(key)}:${sortedText(field)}`).join(',')}}`;
}
