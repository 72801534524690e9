/** Runs no containers, and says that they run: pods with a node become ready, deleted ones go, each after a while. */
import { ApiError } from '../../../src/apiserver/api-error.ts';
import { type ApiObject, timestamp } from '../../../src/apiserver/api-object.ts';
import { Informer } from '../../../src/apiserver/controllers/informer.ts';
import type { ClusterStore } from './cluster-store.ts';

/** What it needs of one. */
export type Followed = Pick<ClusterStore, 'objects' | 'cache' | 'kind'>;

export interface FakeKubeletWords {
  /** Milliseconds until a pod is ready, or gone. */
  delayMs?: () => number;
  /** Whether its program comes up at all. */
  starts?: (pod: ApiObject) => boolean;
  /** Pods need no node. */
  anywhere?: boolean;
}

export class FakeKubelet {
  readonly #cluster: Followed;
  readonly #words: FakeKubeletWords;
  readonly #pods: Informer;
  readonly #timers = new Set<NodeJS.Timeout>();
  /** What was done with a pod already, by uid. */
  readonly #seen = new Set<string>();

  constructor(cluster: Followed, words: FakeKubeletWords = {}) {
    this.#cluster = cluster;
    this.#words = words;
    this.#pods = new Informer(cluster, cluster.kind('Pod'));
    this.#pods.onChange((_, pod) => pod && this.#heard(pod));
  }

  start(): Promise<void> {
    return this.#pods.start();
  }

  stop(): void {
    this.#pods.close();
    for (const timer of this.#timers) clearTimeout(timer);
  }

  #heard(pod: ApiObject): void {
    const { uid, deletionTimestamp } = pod.metadata;
    if (!pod.spec?.nodeName && !this.#words.anywhere) return;
    const ends = deletionTimestamp !== undefined;
    const once = `${uid}/${ends}`;
    if (this.#seen.has(once) || (!ends && this.#words.starts?.(pod) === false)) return;
    this.#seen.add(once);
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      (ends ? this.#end(pod) : setReady(this.#cluster, pod, true)).catch((error) => {
        if (!(error instanceof ApiError)) throw error;
      });
    }, this.#words.delayMs?.() ?? 0);
    this.#timers.add(timer);
  }

  async #end({ metadata: { namespace, name, uid } }: ApiObject): Promise<void> {
    const place = { resource: this.#pods.resource, namespace, name };
    await this.#cluster.objects.delete(place, { gracePeriodSeconds: 0, preconditions: { uid } });
  }
}

export async function setReady(
  cluster: Pick<Followed, 'objects' | 'kind'>,
  pod: ApiObject,
  ready: boolean,
  nowMs = Date.now(),
) {
  const { namespace, name } = pod.metadata;
  const place = { resource: cluster.kind('Pod'), namespace, name };
  const condition = {
    type: 'Ready',
    status: ready ? 'True' : 'False',
    lastTransitionTime: timestamp(new Date(nowMs)),
  };
  await cluster.objects.update(
    place,
    (current) => ({ ...current, status: { ...current.status, phase: 'Running', conditions: [condition] } }),
    { subresource: 'status' },
  );
}
