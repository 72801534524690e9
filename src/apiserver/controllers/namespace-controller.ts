/**
 * A namespace that is deleted goes when everything in it has gone (kube-controller-manager pkg/controller/namespace):
 * its objects are deleted kind by kind, custom kinds too; pods keep their grace, finalizers are waited for.
 */
import { ApiError } from '../api-error.ts';
import { type ApiObject, timestamp } from '../api-object.ts';
import { type Resource, resourceName } from '../kinds/resource.ts';
import { NAMESPACE_FINALIZER } from '../objects/deletion.ts';
import { type Condition, conditionOf, withCondition } from './conditions.ts';
import type { Controller, ControllerParts } from './controller-set.ts';
import type { Informer } from './informer.ts';
import { WorkQueue } from './work-queue.ts';

const PAGE = 500;
/** Deleted at a time. */
const AT_ONCE = 16;
/** What is left is looked at again, soon first: pods end, finalizers are taken away. */
const FIRST_MS = 50;
const LONGEST_MS = 5000;
const HELD = 'NamespaceFinalizersRemaining';

/** What has not gone yet: objects by their kind, and by the finalizers that hold them. */
interface Left {
  kinds: Map<string, number>;
  finalizers: Map<string, number>;
}

export class NamespaceController implements Controller {
  readonly name = 'namespace';
  readonly #parts: ControllerParts;
  readonly #namespaces: Informer;
  readonly #queue: WorkQueue;
  /** Milliseconds until the next look, by name. */
  readonly #waits = new Map<string, number>();

  constructor(parts: ControllerParts) {
    const { table, informers, clock, log } = parts;
    this.#parts = parts;
    this.#namespaces = informers.of(table.known('', 'v1', 'namespaces'));
    this.#queue = new WorkQueue({ name: 'Namespace', clock, log, work: (name) => this.#sync(name) });
    this.#namespaces.onChange((before, after) => {
      if (after?.metadata.deletionTimestamp !== undefined) this.#queue.add(after.metadata.name);
      else if (before) this.#waits.delete(before.metadata.name);
    });
  }

  start(): void {
    this.#queue.start();
  }

  stop(): Promise<void> {
    return this.#queue.stop();
  }

  async #sync(name: string): Promise<void> {
    const namespace = this.#namespaces.get(undefined, name);
    if (!namespace || namespace.metadata.deletionTimestamp === undefined) return;
    const left: Left = { kinds: new Map(), finalizers: new Map() };
    for (const resource of inOrder(this.#parts.table)) await this.#empty(resource, name, left);
    if (left.kinds.size === 0) return this.#finish(namespace);
    await this.#sayLeft(namespace, left);
    const wait = this.#waits.get(name) ?? FIRST_MS;
    this.#waits.set(name, Math.min(wait * 2, LONGEST_MS));
    this.#queue.addAfter(name, wait);
  }

  /** Deletes all that is not going already, and counts what stays for now. */
  async #empty(resource: Resource, namespace: string, left: Left): Promise<void> {
    for (let next: string | undefined; ; ) {
      const page = await this.#parts.objects.list(resource, { namespace, limit: PAGE, continue: next });
      for (let i = 0; i < page.items.length; i += AT_ONCE) {
        const some = page.items.slice(i, i + AT_ONCE);
        const gone = await Promise.all(some.map((object) => this.#delete(resource, object)));
        for (const { metadata } of some.filter((_, nth) => !gone[nth])) {
          count(left.kinds, resourceName(resource));
          for (const finalizer of metadata.finalizers ?? []) count(left.finalizers, finalizer);
        }
      }
      if (page.continue === '') return;
      next = page.continue;
    }
  }

  /** Whether it is gone. */
  async #delete(resource: Resource, { metadata }: ApiObject): Promise<boolean> {
    const { namespace, name, uid, deletionTimestamp } = metadata;
    if (deletionTimestamp !== undefined) return false;
    try {
      const options = { propagationPolicy: 'Background', preconditions: { uid } } as const;
      return (await this.#parts.objects.delete({ resource, namespace, name }, options)).gone;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // Another by that name: the next look finds it.
      return error.reason === 'NotFound';
    }
  }

  async #finish(namespace: ApiObject): Promise<void> {
    await this.#update(namespace, (current) => {
      const finalizers = (current.spec?.finalizers ?? []) as string[];
      return { ...current, spec: { ...current.spec, finalizers: finalizers.filter((f) => f !== NAMESPACE_FINALIZER) } };
    });
    this.#waits.delete(namespace.metadata.name);
  }

  /** Who looks at the namespace sees what holds it up. */
  async #sayLeft(namespace: ApiObject, { kinds, finalizers }: Left): Promise<void> {
    const content = `Some resources are remaining: ${listOf(kinds, 'has')}`;
    const held = `Some content in the namespace has finalizers remaining: ${listOf(finalizers, 'in')}`;
    const conditions: Condition[] = [
      { type: 'NamespaceContentRemaining', status: 'True', reason: 'SomeResourcesRemain', message: content },
      finalizers.size > 0
        ? { type: HELD, status: 'True', reason: 'SomeFinalizersRemain', message: held }
        : { type: HELD, status: 'False', reason: 'ContentHasNoFinalizers', message: 'No finalizers are waited for' },
    ];
    const isSaid = ({ type, message }: Condition) => conditionOf(namespace.status, type)?.message === message;
    if (conditions.every(isSaid)) return;
    const now = timestamp(new Date(this.#parts.clock.nowMs()));
    await this.#update(namespace, (current) => ({
      ...current,
      status: conditions.reduce((status, one) => withCondition(status, one, now), current.status ?? {}),
    }));
  }

  async #update(namespace: ApiObject, change: (current: ApiObject) => ApiObject): Promise<void> {
    const { name, uid } = namespace.metadata;
    const place = { resource: this.#namespaces.resource, namespace: undefined, name };
    const same = (current: ApiObject) => {
      if (current.metadata.uid !== uid) throw new ApiError('NotFound', 'it is another by now');
      return change(current);
    };
    try {
      await this.#parts.objects.update(place, same, { whole: true });
    } catch (error) {
      if (!(error instanceof ApiError) || error.reason !== 'NotFound') throw error;
    }
  }
}

function count(of: Map<string, number>, name: string): void {
  of.set(name, (of.get(name) ?? 0) + 1);
}

/** `configmaps has 1 resource instances`, as Kubernetes puts it. */
function listOf(counts: ReadonlyMap<string, number>, verb: string): string {
  return [...counts]
    .map(([name, number]) => `${name} ${verb} ${number} resource instances`)
    .sort()
    .join(', ');
}

/** Kinds that stand in namespaces, each once; first those that make others. */
function inOrder(table: Iterable<Resource>): Resource[] {
  const kinds = new Map<string, Resource>();
  for (const resource of table) if (resource.namespaced) kinds.set(`${resource.group}/${resource.plural}`, resource);
  const rank = ({ group }: Resource) => (group === 'apps' ? 0 : 1);
  return [...kinds.values()].sort((a, b) => rank(a) - rank(b));
}
