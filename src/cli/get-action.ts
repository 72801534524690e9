/** `weft get`: objects as the server's tables, or whole; once, or as they change. */
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { type ApiClient, ApiRequestError } from '../kube/api-client.ts';
import { collectionPath, objectPath, type ServedKind, servedApiVersion, shownName } from '../kube/discovery.ts';
import { splitLines } from '../kube/line-splitter.ts';
import { type ApiTable, ApiTableText } from '../observe/api-table-text.ts';
import { type Cluster, type ClusterOptions, type NamedKind, namedKinds, openCluster } from './cluster.ts';

export interface GetOptions extends ClusterOptions {
  allNamespaces?: boolean;
  selector?: string;
  fieldSelector?: string;
  output?: 'wide' | 'yaml' | 'json' | 'name';
  watch?: boolean;
  headers: boolean;
  ignoreNotFound?: boolean;
}

/** Watches that end sooner are not begun again at once. */
const LEAST_WATCH_MS = 1000;

type Answer = ApiTable & { metadata?: { resourceVersion?: string } };
/** Of a list or a table; one object is all of it. */
interface Page {
  metadata?: { continue?: string };
  items?: unknown[];
  rows?: unknown[] | null;
}
type Query = Record<string, string | undefined>;
type Item = Record<string, unknown> & { metadata?: { name?: string; namespace?: string } };

/** As kubectl asks: a large cluster is more than one answer should hold. */
const PAGE = 500;
const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json';

/** Exit code 1 where something that was named is not there. */
export async function get(words: readonly string[], options: GetOptions): Promise<number> {
  const cluster = openCluster(options);
  try {
    const wanted = await namedKinds(cluster, words);
    if (options.allNamespaces && wanted.some(({ names }) => names.length > 0)) {
      throw new Error('a resource cannot be retrieved by name across all namespaces');
    }
    if (options.watch) return await watch(cluster, wanted, options);
    const output = options.output;
    return output === undefined || output === 'wide'
      ? await printTables(cluster, wanted, options)
      : await printObjects(cluster, wanted, options, output);
  } finally {
    cluster.client.close();
  }
}

async function printTables(cluster: Cluster, wanted: readonly NamedKind[], options: GetOptions): Promise<number> {
  let failed = false;
  const parts: string[] = [];
  for (const { kind, names } of wanted) {
    const text = tableText(kind, options, wanted.length > 1);
    const lines: string[] = [];
    for (const path of pathsOf(cluster, kind, names, options)) {
      const answer = await found(cluster.client, path, options, TABLE);
      if (answer) lines.push(...text.lines(answer));
      else if (answer === undefined) failed = true;
    }
    if (lines.length > 0) parts.push(lines.join('\n'));
  }
  if (parts.length > 0) console.log(parts.join('\n\n'));
  else if (!failed && wanted.every(({ names }) => names.length === 0)) {
    console.error(
      options.allNamespaces ? 'No resources found' : `No resources found in ${cluster.namespace} namespace.`,
    );
  }
  return failed ? 1 : 0;
}

async function printObjects(
  cluster: Cluster,
  wanted: readonly NamedKind[],
  options: GetOptions,
  output: 'yaml' | 'json' | 'name',
): Promise<number> {
  let failed = false;
  const items: { kind: ServedKind; item: Item }[] = [];
  for (const { kind, names } of wanted) {
    for (const path of pathsOf(cluster, kind, names, options)) {
      const answer = await found(cluster.client, path, options);
      if (answer === undefined) failed = true;
      const list = names.length > 0 ? (answer ? [answer as Item] : []) : ((answer as { items?: Item[] })?.items ?? []);
      // Items of a list leave their kind to it.
      const own = { apiVersion: servedApiVersion(kind), kind: kind.kind };
      items.push(...list.map((item) => ({ kind, item: { ...own, ...item } })));
    }
  }
  if (output === 'name') {
    for (const { kind, item } of items) console.log(shownName(kind, item.metadata?.name ?? ''));
    return failed ? 1 : 0;
  }
  const single = wanted.length === 1 && wanted[0]?.names.length === 1;
  if (single && items.length === 0) return failed ? 1 : 0;
  const all = items.map(({ item }) => item);
  const value = single ? all[0] : { apiVersion: 'v1', kind: 'List', metadata: { resourceVersion: '' }, items: all };
  console.log(output === 'json' ? JSON.stringify(value, undefined, 4) : stringify(value, { lineWidth: 0 }).trimEnd());
  return failed ? 1 : 0;
}

/** The list, and then what changes, until the server or the user ends it. */
async function watch(cluster: Cluster, wanted: readonly NamedKind[], options: GetOptions): Promise<number> {
  const [first, ...more] = wanted;
  if (!first || more.length > 0 || first.names.length > 1)
    throw new Error('you may only specify a single resource type to watch');
  if (options.output === 'yaml' || options.output === 'json') throw new Error('-w goes with tables, and with -o name');
  const { kind, names } = first;
  const [name] = names;
  const query = { ...queryOf(options), ...(name === undefined ? {} : { fieldSelector: `metadata.name=${name}` }) };
  const path = collectionPath(kind, options.allNamespaces ? undefined : cluster.namespace);
  const text = tableText(kind, options, false);
  const print = (table: ApiTable): void => {
    const lines =
      options.output === 'name'
        ? (table.rows ?? []).map(({ object }) => shownName(kind, object?.metadata?.name ?? ''))
        : text.lines(table);
    if (lines.length > 0) console.log(lines.join('\n'));
  };
  const list = await cluster.client.get<Answer>(path, { query, accept: TABLE });
  print(list);
  let resourceVersion = list.metadata?.resourceVersion;
  for (;;) {
    const began = performance.now();
    const stream = await cluster.client.stream(path, {
      query: { ...query, watch: true, allowWatchBookmarks: true, resourceVersion },
      accept: TABLE,
    });
    for await (const line of splitLines(stream)) {
      const { type, object } = JSON.parse(line) as { type: string; object: Answer & { message?: string } };
      if (type === 'ERROR') throw new Error(object.message ?? 'the watch broke off');
      const row = object.rows?.at(-1)?.object?.metadata as { resourceVersion?: string } | undefined;
      resourceVersion = row?.resourceVersion ?? object.metadata?.resourceVersion ?? resourceVersion;
      if (type !== 'BOOKMARK') print(object);
    }
    await sleep(began + LEAST_WATCH_MS - performance.now());
  }
}

function tableText(kind: ServedKind, options: GetOptions, several: boolean): ApiTableText {
  return new ApiTableText({
    wide: options.output === 'wide',
    namespaces: options.allNamespaces === true && kind.namespaced,
    prefix: several ? shownName(kind, '') : '',
    headers: options.headers,
  });
}

function pathsOf(cluster: Cluster, kind: ServedKind, names: readonly string[], options: GetOptions): string[] {
  if (names.length === 0) return [collectionPath(kind, options.allNamespaces ? undefined : cluster.namespace)];
  return names.map((name) => objectPath(kind, cluster.namespace, name));
}

function queryOf({ selector, fieldSelector }: GetOptions): Query {
  return { labelSelector: selector, fieldSelector };
}

async function inPages(client: ApiClient, path: string, query: Query, accept: string | undefined): Promise<Page> {
  const ask = (next?: string) => {
    return client.get<Page>(path, { query: { ...query, limit: PAGE, continue: next }, ...(accept ? { accept } : {}) });
  };
  const whole = await ask();
  for (let next = whole.metadata?.continue; next; ) {
    const page = await ask(next);
    whole.items?.push(...(page.items ?? []));
    whole.rows?.push(...(page.rows ?? []));
    next = page.metadata?.continue;
  }
  return whole;
}

/** Undefined where what was named is not there, which is said; null where that may be. */
async function found(
  client: ApiClient,
  path: string,
  options: GetOptions,
  accept?: string,
): Promise<object | null | undefined> {
  try {
    return await inPages(client, path, queryOf(options), accept);
  } catch (error) {
    if (!(error instanceof ApiRequestError) || error.reason !== 'NotFound') throw error;
    if (options.ignoreNotFound) return null;
    console.error(`weft: ${error.message}`);
    return undefined;
  }
}
