/** What a Kubernetes API serves, asked of the server itself, so that kinds are found that nobody has built in here. */
import { type ApiClient, ApiRequestError } from './api-client.ts';

/** A kind that the server serves. */
export interface ServedKind {
  /** '' is the core group. */
  group: string;
  version: string;
  kind: string;
  /** `pods`. */
  plural: string;
  singular: string;
  shortNames: readonly string[];
  categories: readonly string[];
  namespaced: boolean;
}

interface ResourceList {
  resources?: {
    name: string;
    singularName?: string;
    kind: string;
    namespaced?: boolean;
    shortNames?: string[];
    categories?: string[];
  }[];
}

interface GroupList {
  groups?: { name: string; versions: { version: string }[]; preferredVersion?: { version: string } }[];
}

export class Discovery {
  readonly #client: ApiClient;
  #core: Promise<ServedKind[]> | undefined;
  #all: Promise<ServedKind[]> | undefined;

  constructor(client: ApiClient) {
    this.#client = client;
  }

  /** By any of its words: `pods`, `po`, `deployments.apps`; undefined: none is called so. */
  async find(word: string): Promise<ServedKind | undefined> {
    const name = word.toLowerCase();
    const isCalled = (kind: ServedKind) => wordsOf(kind).includes(name);
    return (await this.#coreKinds()).find(isCalled) ?? (await this.all()).find(isCalled);
  }

  /** Those that stand together under one word: `all`. */
  async category(word: string): Promise<ServedKind[]> {
    return (await this.all()).filter(({ categories }) => categories.includes(word));
  }

  /** Of every group in its preferred version, the core group first; of a kind in several versions, that one. */
  all(): Promise<ServedKind[]> {
    this.#all ??= (async () => {
      const { groups = [] } = await this.#client.get<GroupList>('/apis');
      const lists = groups.flatMap(({ name, versions, preferredVersion }) => {
        const ordered = [
          ...new Set([...(preferredVersion ? [preferredVersion.version] : []), ...versions.map(versionOf)]),
        ];
        return ordered.map((version) => this.#list(`/apis/${name}/${version}`, name, version).catch(notServed));
      });
      return [await this.#coreKinds(), ...(await Promise.all(lists))].flat();
    })();
    return this.#all;
  }

  #coreKinds(): Promise<ServedKind[]> {
    this.#core ??= this.#list('/api/v1', '', 'v1');
    return this.#core;
  }

  async #list(path: string, group: string, version: string): Promise<ServedKind[]> {
    const { resources = [] } = await this.#client.get<ResourceList>(path);
    return resources
      .filter(({ name }) => !name.includes('/'))
      .map(({ name, singularName, kind, namespaced = false, shortNames = [], categories = [] }) => {
        const singular = singularName || kind.toLowerCase();
        return { group, version, kind, plural: name, singular, shortNames, categories, namespaced };
      });
  }
}

/** A group that another server stands for, which does not answer, keeps nobody from the others. */
function notServed(error: unknown): ServedKind[] {
  if (error instanceof ApiRequestError && error.code >= 500) return [];
  throw error;
}

function versionOf({ version }: { version: string }): string {
  return version;
}

function wordsOf({ plural, singular, kind, shortNames, group, version }: ServedKind): string[] {
  const names = [plural, singular, kind.toLowerCase()];
  const full = group === '' ? [] : names.flatMap((name) => [`${name}.${group}`, `${name}.${version}.${group}`]);
  return [...names, ...shortNames, ...full];
}

export function servedApiVersion({ group, version }: Pick<ServedKind, 'group' | 'version'>): string {
  return group === '' ? version : `${group}/${version}`;
}

/** `pod/web-0`, `deployment.apps/web`. */
export function shownName({ singular, group }: ServedKind, name: string): string {
  return `${group === '' ? singular : `${singular}.${group}`}/${name}`;
}

/** Path of a collection; of all namespaces where none is given. */
export function collectionPath({ group, version, plural, namespaced }: ServedKind, namespace?: string): string {
  const base = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
  const within = namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return `${base}${within}/${plural}`;
}

export function objectPath(kind: ServedKind, namespace: string | undefined, name: string): string {
  return `${collectionPath(kind, namespace)}/${encodeURIComponent(name)}`;
}
