/** `weft delete`: objects by their manifests, by name or by label; returns when they are gone. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiRequestError } from '../kube/api-client.ts';
import { collectionPath, objectPath, type ServedKind } from '../kube/discovery.ts';
import { type Cluster, type ClusterOptions, namedKinds, openCluster } from './cluster.ts';
import { readObjects } from './manifest-input.ts';

export interface DeleteOptions extends ClusterOptions {
  filename?: string[];
  selector?: string;
  all?: boolean;
  gracePeriod?: number;
  force?: boolean;
  cascade: 'background' | 'foreground' | 'orphan';
  ignoreNotFound?: boolean;
  wait: boolean;
  timeout: number;
}

interface Place {
  kind: ServedKind;
  namespace: string | undefined;
  name: string;
}

interface Deleted extends Place {
  /** '' where the server does not say. */
  uid: string;
}

const POLL_MS = 100;
const PROPAGATION = { background: 'Background', foreground: 'Foreground', orphan: 'Orphan' } as const;

/** Exit code 1 where something was not there, or does not go in time. */
export async function deleteObjects(words: readonly string[], options: DeleteOptions): Promise<number> {
  const cluster = openCluster(options);
  try {
    const { places, bad } = await placesOf(cluster, words, options);
    let failed = bad;
    const deleted: Deleted[] = [];
    for (const place of places) {
      const done = await deleteOne(cluster, place, options);
      if (done.uid !== undefined) deleted.push({ ...place, uid: done.uid });
      failed ||= done.failed;
    }
    if (places.length === 0 && !bad) console.log('No resources found');
    if (options.wait && !(await allGone(cluster, deleted, options.timeout * 1000))) failed = true;
    return failed ? 1 : 0;
  } finally {
    cluster.client.close();
  }
}

async function placesOf(
  cluster: Cluster,
  words: readonly string[],
  options: DeleteOptions,
): Promise<{ places: Place[]; bad: boolean }> {
  if (options.filename) {
    if (words.length > 0) throw new Error('give files by -f, or kinds and names, not both');
    const { objects, bad } = await readObjects(cluster, options.filename);
    // What was made last may need what was made first.
    const places = objects.map(({ object, kind }) => ({
      kind,
      namespace: object.metadata.namespace,
      name: object.metadata.name,
    }));
    return { places, bad };
  }
  if (words.length === 0) throw new Error('say what to delete: -f FILE, or KIND NAME, as in pod web-0');
  const places: Place[] = [];
  for (const { kind, names } of await namedKinds(cluster, words)) {
    const namespace = kind.namespaced ? cluster.namespace : undefined;
    places.push(...names.map((name) => ({ kind, namespace, name })));
    if (names.length > 0) continue;
    if (options.selector === undefined && !options.all) {
      throw new Error(`${kind.plural}: name some, or say -l SELECTOR or --all`);
    }
    const { items = [] } = await cluster.client.get<{ items?: { metadata: { name: string } }[] }>(
      collectionPath(kind, namespace),
      { query: { labelSelector: options.selector } },
    );
    places.push(...items.map(({ metadata: { name } }) => ({ kind, namespace, name })));
  }
  return { places, bad: false };
}

/** Resolves with its uid, if it goes; what keeps it, or that it is not there, is said. */
async function deleteOne(
  { client }: Cluster,
  { kind, namespace, name }: Place,
  options: DeleteOptions,
): Promise<{ uid?: string; failed: boolean }> {
  const seconds = options.force ? 0 : options.gracePeriod;
  const body = {
    kind: 'DeleteOptions',
    apiVersion: 'v1',
    propagationPolicy: PROPAGATION[options.cascade],
    ...(seconds === undefined ? {} : { gracePeriodSeconds: seconds }),
  };
  try {
    const answer = await client.request<{ metadata?: { uid?: string }; details?: { uid?: string } }>(
      'DELETE',
      objectPath(kind, namespace, name),
      { body },
    );
    const title = kind.group === '' ? kind.singular : `${kind.singular}.${kind.group}`;
    console.log(`${title} "${name}" ${options.force ? 'force deleted' : 'deleted'}`);
    return { uid: answer.metadata?.uid ?? answer.details?.uid ?? '', failed: false };
  } catch (error) {
    if (!(error instanceof ApiRequestError) || error.code === 0) throw error;
    if (error.reason === 'NotFound' && options.ignoreNotFound) return { failed: false };
    console.error(`weft: ${error.message}`);
    return { failed: true };
  }
}

/** One of the same name that came after it is another. */
async function allGone({ client }: Cluster, deleted: readonly Deleted[], timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  for (const { kind, namespace, name, uid } of deleted) {
    for (;;) {
      try {
        const { metadata } = await client.get<{ metadata: { uid: string } }>(objectPath(kind, namespace, name));
        if (uid && metadata.uid !== uid) break;
      } catch (error) {
        if (error instanceof ApiRequestError && error.reason === 'NotFound') break;
        throw error;
      }
      if (performance.now() > deadline) {
        console.error(`weft: ${kind.singular} "${name}" is still there after ${timeoutMs / 1000} s`);
        return false;
      }
      await sleep(POLL_MS);
    }
  }
  return true;
}
