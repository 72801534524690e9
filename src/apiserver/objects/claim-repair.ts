/**
 * Makes claims and objects agree when a server starts: objects that were stored by other means get what they lack,
 * claims of objects that are no more go. Each step is on condition that nothing changed since it was read, so that
 * servers may do it side by side while others write.
 */
import { isDeepStrictEqual } from 'node:util';
import { ApiError } from '../api-error.ts';
import type { ApiObject } from '../api-object.ts';
import { type Resource, storeKey } from '../kinds/resource.ts';
import type { Store } from '../store/store.ts';
import { CLAIMS_PREFIX, claimWrite, readClaims } from './claims.ts';
import type { ObjectStore } from './object-store.ts';

const PAGE = 500;

export interface ClaimRepairParts {
  store: Store;
  objects: ObjectStore;
  resources: Iterable<Resource>;
  log(message: string): void;
}

export async function repairClaims({ store, objects, resources, log }: ClaimRepairParts): Promise<void> {
  // Read before the objects: what is claimed from now on has its object by then.
  const claims = new Map<string, { owner: string; modRevision: number }>();
  for await (const { name, ...claim } of readClaims(store)) claims.set(name, claim);
  const owners = new Map<string, string>();
  for (const resource of resources) {
    const { allocation } = resource;
    if (!allocation) continue;
    for await (const object of allOf(objects, resource)) {
      const { namespace, name, resourceVersion } = object.metadata;
      const key = storeKey(resource, namespace, name);
      for (const claim of allocation.claims(object)) {
        const rival = owners.get(claim.name) ?? claims.get(claim.name)?.owner;
        if (owners.get(claim.name) !== undefined) {
          log(`${key}: ${claim.refusal}, to ${rival}: delete one of them`);
          continue;
        }
        owners.set(claim.name, key);
        const held = claims.get(claim.name);
        if (held?.owner === key) continue;
        await store.commit({
          conditions: [
            { key, modRevision: Number(resourceVersion) },
            { key: CLAIMS_PREFIX + claim.name, modRevision: held?.modRevision ?? 0 },
          ],
          writes: [claimWrite(claim.name, key)],
        });
      }
      await complete(objects, resource, object, log);
    }
  }
  for (const [name, { modRevision }] of claims) {
    if (owners.has(name)) continue;
    const key = CLAIMS_PREFIX + name;
    await store.commit({ conditions: [{ key, modRevision }], writes: [{ type: 'delete', key }] });
  }
}

async function* allOf(objects: ObjectStore, resource: Resource): AsyncGenerator<ApiObject> {
  for (let next: string | undefined; ; ) {
    const page = await objects.list(resource, { limit: PAGE, continue: next });
    yield* page.items;
    if (page.continue === '') return;
    next = page.continue;
  }
}

/** Written by a server that gave nothing yet. */
async function complete(
  objects: ObjectStore,
  resource: Resource,
  object: ApiObject,
  log: (message: string) => void,
): Promise<void> {
  const filled = structuredClone(object);
  resource.allocation?.fill?.(filled, object, () => false);
  if (isDeepStrictEqual(filled, object)) return;
  const { namespace, name } = object.metadata;
  try {
    await objects.update({ resource, namespace, name }, (current) => current);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.reason !== 'NotFound') log(error.message);
  }
}
