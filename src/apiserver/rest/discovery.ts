/** What the server serves, as clients ask before anything else (meta/v1 APIGroupList, APIResourceList). */
import type { Resource } from '../kinds/resource.ts';
import type { ResourceTable } from '../kinds/resource-table.ts';
import { REVIEWS } from '../kinds/reviews.ts';

const VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
const PART_VERBS = ['get', 'patch', 'update'];

/** Beside what belongs to groups. */
const OTHER_PATHS = ['/healthz', '/livez', '/metrics', '/openapi/v2', '/openapi/v3', '/readyz', '/version'];

/** The answer to `/`, `/api`, `/apis`, `/apis/GROUP`, `/api/v1` or `/apis/GROUP/VERSION`; undefined for other paths. */
export function discovery(table: ResourceTable, path: string): Record<string, unknown> | undefined {
  const words = path.split('/').filter((word) => word !== '');
  if (words.length === 0) return { paths: pathsOf(table) };
  if (words[0] === 'api') {
    if (words.length === 1) return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] };
    return words.length === 2 ? resourceList(table, '', words[1] as string) : undefined;
  }
  if (words[0] !== 'apis') return undefined;
  const groups = groupsOf(table);
  if (words.length === 1) {
    return {
      kind: 'APIGroupList',
      apiVersion: 'v1',
      groups: [...groups].map(([name, versions]) => group(name, versions)),
    };
  }
  const [, name = '', version] = words;
  const versions = groups.get(name);
  if (!versions || words.length > 3) return undefined;
  if (version === undefined) return { kind: 'APIGroup', apiVersion: 'v1', ...group(name, versions) };
  return resourceList(table, name, version);
}

/** Where to go on from the root, for whoever opens it in a browser by `kubectl proxy`. */
function pathsOf(table: ResourceTable): string[] {
  const groups = [...groupsOf(table)].flatMap(([name, versions]) => {
    return [`/apis/${name}`, ...[...versions].map((version) => `/apis/${name}/${version}`)];
  });
  return ['/api', '/api/v1', '/apis', ...groups.sort(), ...OTHER_PATHS];
}

function groupsOf(table: ResourceTable): Map<string, Set<string>> {
  const groups = new Map<string, Set<string>>();
  for (const { group: name, version } of [...table, ...REVIEWS]) {
    if (name === '') continue;
    groups.set(name, (groups.get(name) ?? new Set()).add(version));
  }
  return groups;
}

function group(name: string, versions: ReadonlySet<string>): Record<string, unknown> {
  const all = [...versions].sort(byPreference).map((version) => ({ groupVersion: `${name}/${version}`, version }));
  return { name, versions: all, preferredVersion: all[0] };
}

/** Newest and most stable first, as Kubernetes prefers them: v2, v1, v1beta2, v1alpha1, others by name. */
function byPreference(a: string, b: string): number {
  const [x, y] = [a, b].map(rankOf) as [number[], number[]];
  const differs = x.findIndex((part, i) => part !== y[i]);
  return differs < 0 ? (a < b ? -1 : 1) : (y[differs] as number) - (x[differs] as number);
}

function rankOf(version: string): number[] {
  const [, major, stage, minor = '0'] = /^v(\d{1,9})(?:(alpha|beta)(\d{1,9}))?$/.exec(version) ?? [];
  if (major === undefined) return [-1, 0, 0];
  return [stage === undefined ? 2 : stage === 'beta' ? 1 : 0, Number(major), Number(minor)];
}

function resourceList(table: ResourceTable, groupName: string, version: string): Record<string, unknown> | undefined {
  const resources = [...served(table)].flatMap(({ group: own, version: of, entry }) =>
    own === groupName && of === version ? [entry] : [],
  );
  if (resources.length === 0) return undefined;
  const groupVersion = groupName === '' ? version : `${groupName}/${version}`;
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources };
}

/** meta/v1 APIResource. */
interface Entry {
  /** With the subresource behind a slash. */
  name: string;
  verbs: readonly string[];
  [field: string]: unknown;
}

/** All that paths may name, and what may be done with it. */
export function* served(table: ResourceTable): Generator<{ group: string; version: string; entry: Entry }> {
  for (const resource of table) {
    const { group, version } = resource;
    for (const entry of entries(resource)) yield { group, version, entry };
  }
  for (const { group, version, kind, plural } of REVIEWS) {
    const entry = { name: plural, singularName: kind.toLowerCase(), namespaced: false, kind, verbs: ['create'] };
    yield { group, version, entry };
  }
}

function entries(resource: Resource): Entry[] {
  const { plural, singular, kind, namespaced, shortNames, categories } = resource;
  const parts: Entry[] = [
    {
      name: plural,
      singularName: singular,
      namespaced,
      kind,
      verbs: VERBS,
      ...(shortNames ? { shortNames } : {}),
      ...(categories ? { categories } : {}),
    },
  ];
  if (resource.status) parts.push({ name: `${plural}/status`, singularName: '', namespaced, kind, verbs: PART_VERBS });
  for (const part of resource.nodeParts ?? []) {
    const verbs = part === 'log' ? ['get'] : ['create', 'get'];
    parts.push({ name: `${plural}/${part}`, singularName: '', namespaced, kind, verbs });
  }
  if (resource.scale) {
    const scale = { group: 'autoscaling', version: 'v1', kind: 'Scale' };
    parts.push({ name: `${plural}/scale`, singularName: '', namespaced, ...scale, verbs: PART_VERBS });
  }
  return parts;
}
