/** Objects as the store keeps them: JSON in the version that is stored, without the revision that the store itself knows. */
import type { ApiObject } from '../api-object.ts';
import type { StoredValue } from '../store/store.ts';
import { asVersion, type Resource } from './resource.ts';

export function encode(resource: Resource, object: ApiObject): Buffer {
  const { resourceVersion: _, ...metadata } = object.metadata;
  const kept = asVersion(resource, object, resource.custom?.storageVersion);
  return Buffer.from(JSON.stringify({ ...kept, metadata }));
}

/** The revision that wrote an object is its version. */
export function decode(stored: StoredValue): ApiObject {
  const object = JSON.parse(Buffer.from(stored.value).toString('utf8')) as ApiObject;
  object.metadata.resourceVersion = `${stored.modRevision}`;
  return object;
}

/** Undefined where something else than an object of ours stands at that key: others may write to an etcd too. */
export function decodeIfObject(stored: StoredValue): ApiObject | undefined {
  try {
    const object = decode(stored);
    const { apiVersion, kind, metadata } = object;
    const isObject = [apiVersion, kind, metadata.name].every((text: unknown) => typeof text === 'string');
    return isObject ? object : undefined;
  } catch {
    return undefined;
  }
}
