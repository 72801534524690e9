/**
 * The patches of the API: JSON Patch (RFC 6902, by fast-json-patch), JSON Merge Patch (RFC 7396) and strategic merge
 * patch, which merges lists of named things by their names (k8s.io/apimachinery pkg/util/strategicpatch).
 */
import jsonPatch, { type Operation } from 'fast-json-patch';
import { ApiError } from '../api-error.ts';
import { mergeRulesOf, type Resource } from '../kinds/resource.ts';
import { checkShape } from './body-shape.ts';

export const PATCH_TYPES = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
} as const;

type Json = Record<string, unknown>;

const MOST_OPERATIONS = 10_000;
/** Bytes of JSON, as Kubernetes has it. */
const MOST_COPIED = 3 * 1024 * 1024;
const DEEPEST = 100;

/** Throws ApiError UnsupportedMediaType; for those who have no object yet that could be patched. */
export function checkPatchType(type: string, { custom }: Resource): void {
  const { json, merge, strategic } = PATCH_TYPES;
  const known: readonly string[] = custom ? [json, merge] : [json, merge, strategic];
  if (known.includes(type)) return;
  const apply = type === 'application/apply-patch+yaml' ? 'server-side apply is not served; ' : '';
  const message = `${apply}the content type of a patch is one of ${known.join(', ')}, not ${type}`;
  throw new ApiError('UnsupportedMediaType', message);
}

/** A patched copy, an object of a size as bodies have it. Throws ApiError: UnsupportedMediaType, BadRequest or Invalid. */
export function applyPatch(type: string, target: Json, patch: unknown, resource: Resource): Json {
  const patched = patchedBy(type, target, patch, resource);
  if (!isObject(patched)) throw new ApiError('BadRequest', 'the patch leaves no object');
  checkShape(patched);
  return patched;
}

function patchedBy(type: string, target: Json, patch: unknown, resource: Resource): unknown {
  checkPatchType(type, resource);
  if (type === PATCH_TYPES.json) return patchByOperations(target, patch);
  if (type === PATCH_TYPES.merge) return mergePatch(target, objectOf(patch), 0);
  return strategicMerge(structuredClone(target), objectOf(patch), '', mergeRulesOf(resource).mergeKeys, 0);
}

function objectOf(patch: unknown): Json {
  if (isObject(patch)) return patch;
  throw new ApiError('BadRequest', 'the patch is not a JSON object');
}

function patchByOperations(target: Json, patch: unknown): unknown {
  if (!Array.isArray(patch) || patch.length > MOST_OPERATIONS) {
    throw new ApiError('BadRequest', `a JSON patch is a list of at most ${MOST_OPERATIONS} operations`);
  }
  try {
    return appliedInTurn(structuredClone(target), patch as Operation[]);
  } catch (error) {
    if (error instanceof ApiError) throw error;
    const [first = ''] = (error instanceof Error ? error.message : String(error)).split('\n');
    throw new ApiError('Invalid', `the server rejected our request due to an error in our request: ${first}`);
  }
}

/** One by one, since what a copy takes is known only when its turn has come: copies of copies grow without end. */
function appliedInTurn(target: unknown, operations: readonly Operation[]): unknown {
  let document = target;
  let copied = 0;
  for (const [i, operation] of operations.entries()) {
    if (operation?.op === 'copy' && typeof operation.from === 'string') {
      copied += JSON.stringify(jsonPatch.getValueByPointer(document, operation.from) ?? null).length;
      if (copied > MOST_COPIED) {
        throw new ApiError('RequestEntityTooLarge', `the patch copies more than ${MOST_COPIED} bytes`);
      }
    }
    document = jsonPatch.applyOperation(document, operation, true, true, true, i).newDocument;
  }
  return document;
}

/** RFC 7396: null takes away, an object is merged, everything else replaces. */
function mergePatch(target: unknown, patch: Json, depth: number): Json {
  checkDepth(depth);
  const out: Json = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete out[key];
    else if (isObject(value)) set(out, key, mergePatch(own(out, key), value, depth + 1));
    else set(out, key, value);
  }
  return out;
}

type MergeKeys = Readonly<Record<string, string>>;

/**
 * Merges into `target`, which it may change. Directives: `$patch: replace | delete | merge`, `$retainKeys`,
 * `$setElementOrder/FIELD`, `$deleteFromPrimitiveList/FIELD`.
 */
function strategicMerge(target: Json, patch: Json, path: string, keys: MergeKeys, depth: number): Json {
  checkDepth(depth);
  if (patch.$patch === 'replace') return withoutDirectives(patch);
  if (patch.$patch === 'delete') return {};
  const retained = patch.$retainKeys;
  if (Array.isArray(retained)) {
    const kept = new Set(retained);
    for (const key of Object.keys(target)) if (!kept.has(key)) delete target[key];
  }
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith('$deleteFromPrimitiveList/')) {
      const field = key.slice(key.indexOf('/') + 1);
      const list = own(target, field);
      const gone = new Set(Array.isArray(value) ? value : []);
      if (Array.isArray(list)) target[field] = list.filter((item) => !gone.has(item));
    }
    if (key.startsWith('$')) continue;
    const at = path === '' ? key : `${path}.${key}`;
    const before = own(target, key);
    if (value === null) delete target[key];
    else if (Array.isArray(value)) {
      const order = patch[`$setElementOrder/${key}`];
      set(target, key, mergeList(Array.isArray(before) ? before : [], value, at, keys, depth, order));
    } else if (isObject(value)) {
      set(target, key, strategicMerge(isObject(before) ? before : {}, value, at, keys, depth + 1));
    } else set(target, key, value);
  }
  // An order may come alone, without a change of what it orders.
  for (const [key, order] of Object.entries(patch)) {
    if (!key.startsWith('$setElementOrder/')) continue;
    const field = key.slice(key.indexOf('/') + 1);
    const list = own(target, field);
    const at = path === '' ? field : `${path}.${field}`;
    if (!Object.hasOwn(patch, field) && Array.isArray(list)) target[field] = inOrder(list, order, keys[at]);
  }
  return target;
}

function mergeList(
  before: unknown[],
  patch: unknown[],
  path: string,
  keys: MergeKeys,
  depth: number,
  order: unknown,
): unknown[] {
  const mergeKey = keys[path];
  if (mergeKey === undefined) return patch;
  if (mergeKey === '') return inOrder([...new Set([...before, ...patch])], order, '');
  if (patch.some((item) => isObject(item) && item.$patch === 'replace')) {
    return patch.filter((item) => !(isObject(item) && item.$patch === 'replace'));
  }
  const out: unknown[] = [...before];
  const places = new Map<unknown, number>();
  for (const [i, one] of before.entries()) {
    const name = isObject(one) ? own(one, mergeKey) : undefined;
    if (name !== undefined && !places.has(name)) places.set(name, i);
  }
  for (const item of patch) {
    if (!isObject(item)) throw new ApiError('BadRequest', `${path}: is a list of objects, not of ${typeof item}`);
    const name = own(item, mergeKey);
    if (name === undefined) {
      throw new ApiError('BadRequest', `${path}: map does not contain declared merge key: ${mergeKey}`);
    }
    const i = places.get(name);
    if (item.$patch === 'delete') {
      if (i !== undefined) out[i] = undefined;
      places.delete(name);
    } else if (i !== undefined) {
      out[i] = strategicMerge(out[i] as Json, item, path, keys, depth + 1);
    } else {
      places.set(name, out.push(strategicMerge({}, item, path, keys, depth + 1)) - 1);
    }
  }
  const left = out.filter((item) => item !== undefined);
  return inOrder(left, order, mergeKey);
}

/** What the order names in its order, each of the others behind the one that it stood behind. */
function inOrder(list: unknown[], order: unknown, mergeKey: string | undefined): unknown[] {
  if (!Array.isArray(order)) return list;
  const nameOf = (item: unknown): unknown => (mergeKey && isObject(item) ? own(item, mergeKey) : item);
  const places = new Map(order.map((item, i) => [nameOf(item), i]));
  let place = -1;
  return list
    .map((item, i) => {
      place = places.get(nameOf(item)) ?? place;
      return { item, place, i };
    })
    .sort((a, b) => a.place - b.place || a.i - b.i)
    .map(({ item }) => item);
}

function withoutDirectives(patch: Json): Json {
  return Object.fromEntries(Object.entries(patch).filter(([key]) => !key.startsWith('$')));
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function own(object: Json, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/** A field may be called `__proto__`: it is then a field. */
function set(object: Json, key: string, value: unknown): void {
  Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
}

function checkDepth(depth: number): void {
  if (depth > DEEPEST) throw new ApiError('BadRequest', `the patch is nested more than ${DEEPEST} deep`);
}
