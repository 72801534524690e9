/** Names of objects as work queues carry them, and who owns an object. */
import type { ApiObject, OwnerReference } from '../api-object.ts';

/** `default/web`; `/name` for kinds without namespaces. */
export function keyOf({ metadata }: Pick<ApiObject, 'metadata'>): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}

export function splitKey(key: string): { namespace: string | undefined; name: string } {
  const slash = key.indexOf('/');
  return { namespace: slash > 0 ? key.slice(0, slash) : undefined, name: key.slice(slash + 1) };
}

/** The one owner that looks after an object. */
export function controllerOf({ metadata }: Pick<ApiObject, 'metadata'>): OwnerReference | undefined {
  return metadata.ownerReferences?.find(({ controller }) => controller === true);
}

/** Makes `owner` the one that looks after an object. */
export function controllerReference(owner: ApiObject): OwnerReference {
  const { apiVersion, kind, metadata } = owner;
  const { name, uid } = metadata;
  return { apiVersion, kind, name, uid, controller: true, blockOwnerDeletion: true };
}
