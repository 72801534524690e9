/**
 * From the text of a manifest to validated objects, and problems with file and line: several documents, lists,
 * comments, JSON too. Bad text or a bad object never takes down the others of the file.
 */
import { type Document, isMap, isNode, isSeq, LineCounter, parseAllDocuments } from 'yaml';
import { isJsonObject, type JsonObject, withoutNulls } from './json-value.ts';
import { type KubeObject, type NamedObject, objectIdentity, objectTitle } from './objects.ts';
import type { Problem } from './problem.ts';
import { isKnownKind, validate } from './validate.ts';
import { type FieldPath, formatPath, type Violation } from './violation.ts';

export interface ManifestObject<T extends NamedObject = KubeObject> {
  object: T;
  /** `file.yaml:12`. */
  place: string;
}

/** What a reader of manifests knows of kinds. */
export interface ManifestKinds<T extends NamedObject> {
  isKnown(apiVersion: string, kind: string): boolean;
  isNamespaced(apiVersion: string, kind: string): boolean;
  /** Where an object stands that names no namespace; `default` where nothing is said. */
  namespace?: string;
  /** What is wrong with a value of a known kind, or the object that it is. */
  read(value: Record<string, unknown>): Violation[] | T;
}

/** The kinds that the network reads. */
export const NETWORK_KINDS: ManifestKinds<KubeObject> = {
  isKnown: isKnownKind,
  isNamespaced: (_, kind) => kind !== 'Node',
  read: (value) => {
    const violations = validate(value.kind as KubeObject['kind'], value);
    return violations.length > 0 ? violations : (value as unknown as KubeObject);
  },
};

export interface Manifest<T extends NamedObject = KubeObject> {
  objects: readonly ManifestObject<T>[];
  problems: readonly Problem[];
  /** Identities of objects that were recognised and refused. */
  refused: readonly string[];
  /** False when part of the text could not be attributed to an object at all. */
  complete: boolean;
}

interface Reading {
  kinds: ManifestKinds<NamedObject>;
  file: string;
  lines: LineCounter;
  objects: ManifestObject<NamedObject>[];
  problems: Problem[];
  refused: string[];
  complete: boolean;
  /** Where each object stands, by its identity. */
  places: Map<string, string>;
  ignored: Set<string>;
}

export function parseManifest(text: string, file: string): Manifest;
export function parseManifest<T extends NamedObject>(text: string, file: string, kinds: ManifestKinds<T>): Manifest<T>;
export function parseManifest(
  text: string,
  file: string,
  kinds: ManifestKinds<NamedObject> = NETWORK_KINDS,
): Manifest<NamedObject> {
  const lines = new LineCounter();
  const r: Reading = {
    kinds,
    file,
    lines,
    objects: [],
    problems: [],
    refused: [],
    complete: true,
    places: new Map(),
    ignored: new Set(),
  };
  try {
    // With logLevel error the parser prints nothing of its own.
    const options = { lineCounter: lines, merge: true, prettyErrors: false, logLevel: 'error' } as const;
    const documents = parseAllDocuments(text, options);
    for (const document of documents) readDocument(r, document);
  } catch (error) {
    // The parser recurses: text that nests too deeply ends its stack.
    fail(r, r.file, `cannot be read as YAML: ${(error as Error).message}`);
  }
  return { objects: r.objects, problems: r.problems, refused: r.refused, complete: r.complete };
}

function readDocument(r: Reading, document: Document): void {
  if (document.errors.length > 0) {
    for (const error of document.errors.slice(0, 3)) {
      const { line, col } = r.lines.linePos(error.pos[0]);
      fail(r, `${r.file}:${line}:${col}`, error.message);
    }
    return;
  }
  let value: unknown;
  try {
    // An alias that expands beyond the parser's limit throws.
    value = document.toJS();
  } catch (error) {
    fail(r, placeOf(r, document, []), (error as Error).message);
    return;
  }
  if (value === null || value === undefined) return;
  readValue(r, document, withoutNulls(value), []);
}

/** One object or list, standing at a path of its document. */
function readValue(r: Reading, document: Document, value: unknown, path: FieldPath): void {
  const place = placeOf(r, document, path);
  if (!isJsonObject(value)) {
    fail(r, place, 'must be a map with apiVersion and kind');
    return;
  }
  const { apiVersion, kind } = value;
  if (typeof kind !== 'string' || typeof apiVersion !== 'string') {
    fail(r, place, `${typeof kind === 'string' ? 'apiVersion' : 'kind'}: is required and must be a string`);
  } else if ((apiVersion === 'v1' && kind === 'List') || r.kinds.isKnown(apiVersion, kind.replace(/List$/, ''))) {
    if (kind.endsWith('List')) readList(r, document, value, path, kind.slice(0, -'List'.length));
    else readObject(r, document, value, path, place);
  } else if (!r.ignored.has(`${apiVersion} ${kind}`)) {
    r.ignored.add(`${apiVersion} ${kind}`);
    r.problems.push({
      place,
      message: `${kind} (${apiVersion}) is a kind that is not read: ignored`,
      severity: 'warning',
    });
  }
}

function readList(r: Reading, document: Document, list: JsonObject, path: FieldPath, itemKind: string): void {
  const items = list.items ?? [];
  if (!Array.isArray(items)) {
    fail(r, placeOf(r, document, [...path, 'items']), 'items: must be a list');
    return;
  }
  items.forEach((item: unknown, i) => {
    // Items of a PodList and its like may leave their kind to the list.
    const named = itemKind && isJsonObject(item) ? { apiVersion: list.apiVersion, kind: itemKind, ...item } : item;
    // A list in a list is nobody's manifest, and lists without end would end the stack.
    if (path.length > 0) fail(r, placeOf(r, document, path), 'a list must not stand in a list');
    else readValue(r, document, named, ['items', i]);
  });
}

function readObject(r: Reading, document: Document, value: JsonObject, path: FieldPath, place: string): void {
  const kind = String(value.kind);
  const metadata = value.metadata;
  if (isJsonObject(metadata)) {
    const namespaced = r.kinds.isNamespaced(String(value.apiVersion), kind);
    if (!namespaced) delete metadata.namespace;
    else if (metadata.namespace === undefined || metadata.namespace === '')
      metadata.namespace = r.kinds.namespace ?? 'default';
  }
  const read = r.kinds.read(value);
  if (Array.isArray(read)) {
    const named = asNamed(value);
    const title = named && objectTitle(named);
    for (const v of read) {
      const where = placeOf(r, document, [...path, ...v.path]);
      const message = `${title ?? kind}: ${formatPath(v.path)}: ${v.message}`;
      r.problems.push({ place: where, message, severity: 'error' });
    }
    if (named) r.refused.push(objectIdentity(named));
    else r.complete = false;
    return;
  }
  const identity = objectIdentity(read);
  const known = r.places.get(identity);
  if (known) {
    const message = `${objectTitle(read)}: stands already at ${known}: this one is ignored`;
    r.problems.push({ place, message, severity: 'error' });
    return;
  }
  r.places.set(identity, place);
  r.objects.push({ object: read, place });
}

/** What has a name may be refused by it, whatever else is wrong with it. */
function asNamed({ apiVersion, kind, metadata }: JsonObject): NamedObject | undefined {
  if (!isJsonObject(metadata) || typeof metadata.name !== 'string') return undefined;
  const { name, namespace } = metadata;
  const own = namespace === undefined ? { name } : { name, namespace: String(namespace) };
  return { apiVersion: String(apiVersion), kind: String(kind), metadata: own };
}

/** `file:line` of the node at a path, or of the nearest one above that stands in the text. */
function placeOf(r: Reading, document: Document, path: FieldPath): string {
  let offset = document.range?.[0] ?? 0;
  let at: unknown = document.contents;
  if (isNode(at) && at.range) offset = at.range[0];
  for (const part of path) {
    if (isMap(at)) {
      const pair = at.items.find((p) => isNode(p.key) && String(p.key) === String(part));
      if (!pair) break;
      if (isNode(pair.key) && pair.key.range) offset = pair.key.range[0];
      at = pair.value;
    } else if (isSeq(at)) {
      at = at.items[Number(part)];
      if (isNode(at) && at.range) offset = at.range[0];
    } else {
      break;
    }
  }
  return `${r.file}:${r.lines.linePos(offset).line}`;
}

function fail(r: Reading, place: string, message: string): void {
  r.problems.push({ place, message, severity: 'error' });
  r.complete = false;
}
