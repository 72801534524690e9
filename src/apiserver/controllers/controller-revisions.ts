/**
 * Earlier templates of a StatefulSet, as apps/v1 ControllerRevisions (pkg/controller/history): what `kubectl rollout
 * history` and `undo` read, and what pods below an update's partition are made of.
 */
import { ApiError } from '../api-error.ts';
import { type ApiObject, fieldAt } from '../api-object.ts';
import { numberAt } from '../kinds/fields.ts';
import type { ControllerParts } from './controller-set.ts';
import type { Informer } from './informer.ts';
import { controllerReference } from './object-key.ts';
import { OwnedObjects } from './owned-objects.ts';
import { contentHash, isSameTemplate, type PodTemplate, templateOf } from './pod-template.ts';

export class ControllerRevisions {
  readonly #parts: ControllerParts;
  readonly #informer: Informer;
  readonly #owned: OwnedObjects;

  constructor(parts: ControllerParts, owners: Informer) {
    const { informers, objects, table } = parts;
    this.#parts = parts;
    this.#informer = informers.of(table.known('apps', 'v1', 'controllerrevisions'));
    this.#owned = new OwnedObjects({ objects, owners, owned: this.#informer });
  }

  /** The oldest first. */
  of(owner: ApiObject): ApiObject[] {
    return inOrder(this.#owned.of(owner));
  }

  /** That of the owner's template: the newest, made or renewed where it is not. Those of an owner before it, it adopts. */
  async current(owner: ApiObject, collisions: number): Promise<ApiObject> {
    const all = inOrder(await this.#owned.claim(owner));
    const newest = numberAt(all.at(-1) ?? owner, 'revision');
    const found = all.findLast((one) => isSameTemplate(templateIn(one), templateOf(owner)));
    if (found && found === all.at(-1)) return found;
    return this.#written(
      found ? await this.#renew(found, newest + 1) : await this.#create(owner, newest + 1, collisions),
    );
  }

  /** Of no pod and not among the last `limit`: they go. */
  async forget(owner: ApiObject, used: ReadonlySet<string>, limit: number): Promise<void> {
    const free = this.of(owner).filter(({ metadata }) => !used.has(metadata.name));
    for (const { metadata } of free.slice(0, Math.max(0, free.length - limit))) {
      const place = { resource: this.#informer.resource, namespace: metadata.namespace, name: metadata.name };
      try {
        await this.#parts.objects.delete(place, { preconditions: { uid: metadata.uid } });
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
      }
    }
  }

  async #create(owner: ApiObject, revision: number, collisions: number): Promise<ApiObject> {
    const { namespace, name } = owner.metadata;
    const hash = contentHash(dataOf(owner), collisions > 0 ? `${collisions}` : '');
    return this.#parts.objects.create(this.#informer.resource, namespace, {
      apiVersion: 'apps/v1',
      kind: 'ControllerRevision',
      metadata: {
        name: `${name}-${hash}`,
        uid: '',
        resourceVersion: '',
        creationTimestamp: '',
        labels: { ...templateOf(owner).metadata?.labels, 'controller.kubernetes.io/hash': hash },
        ...changeCause(owner),
        ownerReferences: [controllerReference(owner)],
      },
      data: dataOf(owner),
      revision,
    });
  }

  #renew({ metadata }: ApiObject, revision: number): Promise<ApiObject> {
    const place = { resource: this.#informer.resource, namespace: metadata.namespace, name: metadata.name };
    return this.#parts.objects.update(place, (current) => ({ ...current, revision }));
  }

  async #written(object: ApiObject): Promise<ApiObject> {
    await this.#informer.reached(Number(object.metadata.resourceVersion));
    return object;
  }
}

function inOrder(revisions: ApiObject[]): ApiObject[] {
  return revisions.sort((a, b) => numberAt(a, 'revision') - numberAt(b, 'revision'));
}

/** The template that a revision keeps. */
export function templateIn(revision: ApiObject): PodTemplate {
  const { $patch: _, ...template } = (fieldAt(revision, ['data', 'spec', 'template']) ?? {}) as Record<string, unknown>;
  return template;
}

/** A strategic merge patch that brings the template back: `kubectl rollout undo` sends it as it is. */
function dataOf(owner: ApiObject): Record<string, unknown> {
  return { spec: { template: { ...structuredClone(templateOf(owner)), $patch: 'replace' } } };
}

function changeCause({ metadata }: ApiObject): { annotations?: Record<string, string> } {
  const key = 'kubernetes.io/change-cause';
  const cause = metadata.annotations?.[key];
  return cause === undefined ? {} : { annotations: { [key]: cause } };
}
