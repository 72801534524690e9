/**
 * What a path asks for (k8s.io/apiserver RequestInfo):
 *
 *   /api/v1/…  /apis/GROUP/VERSION/…
 *       RESOURCE                                    all of a kind, in every namespace
 *       RESOURCE/NAME[/SUBRESOURCE]                 of a kind without namespaces
 *       namespaces/NAMESPACE/RESOURCE[/NAME[/SUBRESOURCE]]
 */

export interface ResourcePath {
  group: string;
  version: string;
  namespace: string | undefined;
  plural: string;
  /** '' for all of a kind. */
  name: string;
  subresource: string;
}

/** Undefined for a path that is of no resource. */
export function parseResourcePath(path: string): ResourcePath | undefined {
  const words = path.split('/').slice(1);
  if (words.at(-1) === '') words.pop();
  let group = '';
  if (words[0] === 'apis') group = words[1] ?? '';
  else if (words[0] !== 'api') return undefined;
  const [version = '', ...rest] = words.slice(group === '' ? 1 : 2);
  if (rest.length === 0 || rest.some((word) => word === '')) return undefined;
  const decoded = rest.map(decodeSegment);
  if (decoded.some((word) => word === undefined)) return undefined;
  const [first, second, third, ...more] = decoded as string[];
  // What stands below a namespace's name, unless it is a part of the namespace itself.
  const within = first === 'namespaces' && third !== undefined && !NAMESPACE_PARTS.has(third);
  const [plural, name, subresource, extra] = within ? [third, ...more] : [first, second, third, ...more];
  if (plural === undefined || extra !== undefined) return undefined;
  return {
    group,
    version,
    namespace: within ? second : undefined,
    plural,
    name: name ?? '',
    subresource: subresource ?? '',
  };
}

const NAMESPACE_PARTS = new Set(['status', 'finalize']);

/** A name that climbs out of its place or hides a slash is none. */
function decodeSegment(text: string): string | undefined {
  try {
    const word = decodeURIComponent(text);
    return word.includes('/') || word.includes('\0') || word === '.' || word === '..' ? undefined : word;
  } catch {
    return undefined;
  }
}
