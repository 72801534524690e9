/** What a deletion makes of an object: it goes at once, or is marked and held until others have done their part. */
import { ApiError } from '../api-error.ts';
import { type ApiObject, type ObjectMeta, timestamp } from '../api-object.ts';
import type { Resource } from '../kinds/resource.ts';
import type { Preconditions } from './object-errors.ts';

/** Finalizers of the garbage collector: what the object owns goes first, or is let go. */
export const FOREGROUND = 'foregroundDeletion';
export const ORPHAN = 'orphan';
/** In a namespace's spec: its contents go first. */
export const NAMESPACE_FINALIZER = 'kubernetes';

/** Made when a server starts, and needed by all that run. */
export const FIRST_NAMESPACES: readonly string[] = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];

export interface DeleteOptions {
  gracePeriodSeconds?: number;
  /** What becomes of the objects that it owns. Where nothing is said: as the finalizers have it, else Background. */
  propagationPolicy?: 'Orphan' | 'Background' | 'Foreground';
  preconditions?: Preconditions;
}

/**
 * The object as a deletion leaves it, if it stays for now: it may be held by finalizers, or be given time to end.
 * Throws ApiError Forbidden for what may not go.
 */
export function dying(resource: Resource, current: ApiObject, options: DeleteOptions): ApiObject {
  const { name } = current.metadata;
  if (resource.kind === 'Namespace' && FIRST_NAMESPACES.includes(name)) {
    throw new ApiError('Forbidden', `namespaces "${name}" is forbidden: this namespace may not be deleted`);
  }
  const finalizers = new Set(current.metadata.finalizers);
  const { propagationPolicy: policy } = options;
  if (policy) {
    finalizers.delete(FOREGROUND);
    finalizers.delete(ORPHAN);
    if (policy === 'Foreground') finalizers.add(FOREGROUND);
    if (policy === 'Orphan') finalizers.add(ORPHAN);
  }
  const usual = resource.graceSeconds?.(current) ?? 0;
  const asked = options.gracePeriodSeconds === undefined ? usual : usual === 0 ? 0 : options.gracePeriodSeconds;
  const before = current.metadata.deletionGracePeriodSeconds;
  const seconds = before === undefined ? asked : Math.min(before, asked);
  const { finalizers: _, ...rest } = current.metadata;
  const metadata: ObjectMeta = { ...rest, ...(finalizers.size > 0 ? { finalizers: [...finalizers] } : {}) };
  if (metadata.deletionTimestamp === undefined || seconds !== before) {
    metadata.deletionTimestamp = timestamp(new Date(Date.now() + seconds * 1000));
    metadata.deletionGracePeriodSeconds = seconds;
    if (before === undefined && metadata.generation !== undefined) metadata.generation++;
  }
  const next = { ...current, metadata };
  // A namespace goes when everything in it has gone.
  if (resource.kind === 'Namespace') next.status = { ...current.status, phase: 'Terminating' };
  return next;
}

/** Deleted, it would still stay. */
export function isHeld(object: ApiObject): boolean {
  const { finalizers = [], deletionGracePeriodSeconds = 0 } = object.metadata;
  const within = (object.spec?.finalizers as string[] | undefined) ?? [];
  return finalizers.length > 0 || deletionGracePeriodSeconds > 0 || (object.kind === 'Namespace' && within.length > 0);
}
