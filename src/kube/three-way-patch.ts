/**
 * What `kubectl apply` sends: the patch that makes of an object what its writer wants now, leaving alone what others
 * wrote into it. Three versions tell the difference: what was applied last, what is wanted, what there is
 * (k8s.io/apimachinery pkg/util/strategicpatch, CreateThreeWayMergePatch).
 */
import { isDeepStrictEqual } from 'node:util';

type Json = Record<string, unknown>;

/** Of a kind. Paths are without indices: `spec.ports`. */
export interface MergeRules {
  /** What tells the members of a list apart: `port`; '' for lists of plain values. Other lists are one value each. */
  readonly mergeKeys: Readonly<Record<string, string>>;
  /** Maps, or lists of maps, of which one form excludes another: what is not wanted goes, whoever wrote it. */
  readonly retainKeys: readonly string[];
}

const NO_RULES: MergeRules = { mergeKeys: {}, retainKeys: [] };

/**
 * A strategic merge patch; without rules also a JSON merge patch (RFC 7396), for servers that take no other for a kind.
 * Empty: nothing is to be done.
 */
export function threeWayPatch(last: Json, wanted: Json, current: Json, rules = NO_RULES): Json {
  return mapPatch(last, wanted, current, '', rules);
}

function mapPatch(last: Json, wanted: Json, current: Json, path: string, rules: MergeRules): Json {
  const patch: Json = {};
  for (const [name, value] of Object.entries(wanted)) {
    const at = path === '' ? name : `${path}.${name}`;
    const before = own(current, name);
    const applied = own(last, name);
    if (isMap(value)) {
      const part = mapPatch(isMap(applied) ? applied : {}, value, isMap(before) ? before : {}, at, rules);
      if (!isMap(before) || Object.keys(part).length > 0) set(patch, name, part);
    } else if (
      Array.isArray(value) &&
      rules.mergeKeys[at] !== undefined &&
      (value.length > 0 || Array.isArray(before))
    ) {
      const lists = { last: asList(applied), wanted: value, current: asList(before) };
      listPatch(patch, name, lists, at, rules);
    } else if (!isDeepStrictEqual(value, before)) set(patch, name, value);
  }
  for (const name of Object.keys(last)) {
    if (!Object.hasOwn(wanted, name) && Object.hasOwn(current, name)) set(patch, name, null);
  }
  if (rules.retainKeys.includes(path) && Object.keys(patch).length > 0) patch.$retainKeys = Object.keys(wanted);
  return patch;
}

interface Lists {
  last: readonly unknown[];
  wanted: readonly unknown[];
  current: readonly unknown[];
}

/** Of a list whose members have names: what differs of each, what is new, what is to go, and their order. */
function listPatch(patch: Json, field: string, lists: Lists, path: string, rules: MergeRules): void {
  const key = rules.mergeKeys[path] ?? '';
  if (key === '') return valuesPatch(patch, field, lists);
  const [last, wanted, current] = [byName(lists.last, key), byName(lists.wanted, key), byName(lists.current, key)];
  // Two that have one name, as ports of two protocols may: the list is then one thing.
  if (!last || !wanted || !current) {
    if (!contains(lists.current, lists.wanted)) patch[field] = [{ $patch: 'replace' }, ...lists.wanted];
    return;
  }
  const items: Json[] = [];
  for (const [name, item] of wanted) {
    const before = current.get(name);
    const part = mapPatch(last.get(name) ?? {}, item, before ?? {}, path, rules);
    if (!before || Object.keys(part).length > 0) items.push({ ...part, [key]: name });
  }
  for (const name of last.keys()) {
    if (!wanted.has(name) && current.has(name)) items.push({ $patch: 'delete', [key]: name });
  }
  const order = [...wanted.keys()];
  const isOrdered = isDeepStrictEqual(
    [...current.keys()].filter((name) => wanted.has(name)),
    order,
  );
  if (items.length === 0 && isOrdered) return;
  patch[`$setElementOrder/${field}`] = order.map((name) => ({ [key]: name }));
  if (items.length > 0) patch[field] = items;
}

/** Of a list of plain values, in which each stands once. */
function valuesPatch(patch: Json, field: string, { last, wanted, current }: Lists): void {
  const added = wanted.filter((value) => !current.includes(value));
  const removed = last.filter((value) => !wanted.includes(value) && current.includes(value));
  if (added.length === 0 && removed.length === 0) return;
  patch[`$setElementOrder/${field}`] = [...wanted];
  if (added.length > 0) patch[field] = added;
  if (removed.length > 0) patch[`$deleteFromPrimitiveList/${field}`] = removed;
}

/** Undefined where a member has no name, or the name of another. */
function byName(list: readonly unknown[], key: string): Map<unknown, Json> | undefined {
  const found = new Map<unknown, Json>();
  for (const item of list) {
    const name = isMap(item) ? own(item, key) : undefined;
    if (name === undefined || found.has(name)) return undefined;
    found.set(name, item as Json);
  }
  return found;
}

/** Whether one says all that the other says, beside what a server filled in. */
function contains(whole: unknown, part: unknown): boolean {
  if (Array.isArray(part)) {
    return Array.isArray(whole) && whole.length === part.length && part.every((item, i) => contains(whole[i], item));
  }
  if (isMap(part)) {
    return isMap(whole) && Object.entries(part).every(([name, value]) => contains(own(whole, name), value));
  }
  return whole === part;
}

function isMap(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function own(object: Json, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

/** A field may be called `__proto__`: it is then a field. */
function set(object: Json, name: string, value: unknown): void {
  Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
}
