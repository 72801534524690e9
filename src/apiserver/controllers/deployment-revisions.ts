/** What a Deployment writes on its ReplicaSets: which revision each is, how large the whole was, its own annotations. */
import type { ApiObject } from '../api-object.ts';
import { isSameTemplate, type PodTemplate, templateOf } from './pod-template.ts';

export const REVISION = 'deployment.kubernetes.io/revision';
const HISTORY = 'deployment.kubernetes.io/revision-history';
const DESIRED = 'deployment.kubernetes.io/desired-replicas';
const MOST = 'deployment.kubernetes.io/max-replicas';
export const HASH_LABEL = 'pod-template-hash';
/** Earlier revisions of a set that was gone back to, in characters. */
const HISTORY_CHARACTERS = 2000;
/** Not for its sets: kubectl's, and what is written anew. */
const OWN = new Set(['kubectl.kubernetes.io/last-applied-configuration', REVISION, HISTORY, DESIRED, MOST]);

export function revisionOf({ metadata }: ApiObject): number {
  return Number(metadata.annotations?.[REVISION] ?? 0) || 0;
}

/** How large the Deployment was when this set was sized; undefined: nobody said. */
export function desiredOf({ metadata }: ApiObject): number | undefined {
  const text = metadata.annotations?.[DESIRED];
  return text === undefined ? undefined : Number(text);
}

/** The same, with its surge; 0: nobody said. */
export function mostOf({ metadata }: ApiObject): number {
  return Number(metadata.annotations?.[MOST] ?? 0) || 0;
}

export function sizeAnnotations(replicas: number, maxSurge: number): Record<string, string> {
  return { [DESIRED]: `${replicas}`, [MOST]: `${replicas + maxSurge}` };
}

/** Of a set: the Deployment's own, and its revision. A set that becomes the newest again keeps a list of what it was. */
export function setAnnotations(deployment: ApiObject, set: ApiObject | undefined, revision: number) {
  const annotations: Record<string, string> = {};
  for (const [key, value] of Object.entries(deployment.metadata.annotations ?? {})) {
    if (!OWN.has(key)) annotations[key] = value;
  }
  const before = set?.metadata.annotations?.[REVISION];
  const history = set?.metadata.annotations?.[HISTORY];
  if (before === undefined || Number(before) >= revision)
    return { ...annotations, [REVISION]: before ?? `${revision}` };
  const all = [...(history ? history.split(',') : []), before].join(',').slice(-HISTORY_CHARACTERS);
  return { ...annotations, [REVISION]: `${revision}`, [HISTORY]: all };
}

/** The set that was made of the Deployment's template; the oldest where there are several. */
export function findNewest(deployment: ApiObject, sets: readonly ApiObject[]): ApiObject | undefined {
  const wanted = withoutHash(templateOf(deployment));
  const found = sets.filter((set) => isSameTemplate(withoutHash(templateOf(set)), wanted));
  found.sort((a, b) => Date.parse(a.metadata.creationTimestamp) - Date.parse(b.metadata.creationTimestamp));
  return found[0];
}

function withoutHash(template: PodTemplate): PodTemplate {
  const { [HASH_LABEL]: _, ...labels } = template.metadata?.labels ?? {};
  return { ...template, metadata: { ...template.metadata, labels } };
}
