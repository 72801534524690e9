/**
 * A structural schema at work on objects: drops fields that it does not know, fills in defaults, and says what is wrong
 * (k8s.io/apiextensions-apiserver pkg/apiserver/schema: pruning, defaulting, listtype).
 */
import { Ajv, type SchemaObject } from 'ajv';
import { type SchemaCheck, schemaCheck } from '../../kube/validate.ts';
import type { FieldPath, Violation } from '../../kube/violation.ts';
import { CUSTOM_FORMATS } from './custom-formats.ts';
import { PatternSet, PatternTooSlow } from './schema-pattern.ts';
import { type CustomSchemaNode, EMBEDDED, INT_OR_STRING, isNode, mapOf, PRESERVE } from './structural-schema.ts';

/** What every object has, whatever its schema says. */
const OWN_FIELDS = new Set(['apiVersion', 'kind', 'metadata']);
/** Unknown fields that are named to a writer. */
const MOST_NAMED = 20;
/** Copied into JSON Schema as they are. */
const SAME = [
  'multipleOf',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'minProperties',
  'maxProperties',
  'required',
  'pattern',
] as const;

type Json = Record<string, unknown>;

export class CustomSchema {
  readonly #schema: CustomSchemaNode;
  readonly #patterns = new PatternSet();
  #check: SchemaCheck | undefined;

  constructor(schema: CustomSchemaNode) {
    this.#schema = schema;
  }

  /** Drops what it does not know and fills in what is missing; returns the names of what was dropped. */
  complete(object: Json): string[] {
    const dropped: string[] = [];
    prune(object, this.#schema, true, '', dropped);
    fill(object, this.#schema, true);
    return dropped;
  }

  /** Fields of an object that it does not know. */
  unknownFields(object: Json): string[] {
    return this.complete(structuredClone(object));
  }

  check(object: unknown): Violation[] {
    this.#patterns.restart();
    try {
      this.#check ??= this.#compiled();
      const violations = this.#check(object);
      return violations.length > 0 ? violations : listFaults(object, this.#schema, []);
    } catch (error) {
      if (!(error instanceof PatternTooSlow)) throw error;
      return [{ path: [], message: "the patterns of the kind's schema take too long on it" }];
    }
  }

  /** Defaults that its own rules refuse. Throws where the schema cannot be compiled. */
  defaultFaults(path: FieldPath): Violation[] {
    this.#compiled();
    // All in one object with a schema of its own: to compile is slow.
    const places = new Map<unknown, FieldPath>();
    const properties: Record<string, CustomSchemaNode> = {};
    const values: Json = {};
    eachNode(this.#schema, path, (node, at) => {
      if (node.default === undefined) return;
      const name = `default-${places.size}`;
      places.set(name, [...at, 'default']);
      properties[name] = { ...node, default: undefined };
      values[name] = node.default;
    });
    const faults = new Map<unknown, Violation>();
    for (const { path: at, message } of new CustomSchema({ type: 'object', properties }).check(values)) {
      if (!faults.has(at[0])) faults.set(at[0], { path: places.get(at[0]) ?? path, message });
    }
    return [...faults.values()];
  }

  #compiled(): SchemaCheck {
    const ajv = new Ajv({
      allErrors: true,
      verbose: true,
      strict: false,
      formats: CUSTOM_FORMATS,
      code: { regExp: this.#patterns.engine() },
    });
    return schemaCheck(jsonSchema(this.#schema, true), ajv);
  }
}

/** In the words of JSON Schema, which validators have: OpenAPI 3.0 says some things in another way. */
function jsonSchema(node: CustomSchemaNode, root = false): SchemaObject {
  const out: SchemaObject = {};
  for (const word of SAME) if (node[word] !== undefined) out[word] = node[word];
  for (const word of ['minimum', 'maximum'] as const) {
    const exclusive = `exclusive${word === 'minimum' ? 'Minimum' : 'Maximum'}`;
    if (node[word] !== undefined) out[node[exclusive] === true ? exclusive : word] = node[word];
  }
  const none = node.nullable === true ? ['null'] : [];
  if (node[INT_OR_STRING] === true) out.type = ['integer', 'string', ...none];
  else if (node.type !== undefined) out.type = none.length > 0 ? [node.type, ...none] : node.type;
  if (Array.isArray(node.enum)) out.enum = none.length > 0 ? [...new Set([...node.enum, null])] : node.enum;
  if (typeof node.format === 'string' && Object.hasOwn(CUSTOM_FORMATS, node.format)) out.format = node.format;
  if (isNode(node.properties)) {
    const own = Object.entries(node.properties).filter(([name]) => !(root && OWN_FIELDS.has(name)));
    out.properties = Object.fromEntries(own.map(([name, child]) => [name, jsonSchema(mapOf(child))]));
  }
  if (isNode(node.items)) out.items = jsonSchema(node.items);
  if (isNode(node.additionalProperties)) out.additionalProperties = jsonSchema(node.additionalProperties);
  for (const word of ['allOf', 'anyOf', 'oneOf'] as const) {
    if (Array.isArray(node[word])) out[word] = (node[word] as unknown[]).map((one) => jsonSchema(mapOf(one)));
  }
  if (isNode(node.not)) out.not = jsonSchema(node.not);
  return out;
}

function prune(value: unknown, node: CustomSchemaNode, root: boolean, path: string, dropped: string[]): void {
  if (Array.isArray(value)) {
    if (!isNode(node.items)) return;
    for (const [i, item] of value.entries()) prune(item, node.items, false, `${path}[${i}]`, dropped);
    return;
  }
  if (!isNode(value)) return;
  const object = value as Json;
  const properties = mapOf(node.properties);
  const keeps = node[PRESERVE] === true || node.additionalProperties === true;
  for (const [name, child] of Object.entries(object)) {
    if ((root || node[EMBEDDED] === true) && OWN_FIELDS.has(name)) continue;
    const at = path === '' ? name : `${path}.${name}`;
    const own = Object.hasOwn(properties, name) ? properties[name] : node.additionalProperties;
    if (isNode(own)) {
      // A null that may be none is as good as nothing.
      if (child === null && own.nullable !== true && own[PRESERVE] !== true) delete object[name];
      else prune(child, own, false, at, dropped);
    } else if (!keeps) {
      delete object[name];
      if (dropped.length < MOST_NAMED) dropped.push(at);
    }
  }
}

function fill(value: unknown, node: CustomSchemaNode, root = false): void {
  if (Array.isArray(value)) {
    if (isNode(node.items)) for (const item of value) fill(item, node.items);
    return;
  }
  if (!isNode(value)) return;
  const object = value as Json;
  for (const [name, child] of Object.entries(mapOf(node.properties))) {
    if (!isNode(child) || (root && OWN_FIELDS.has(name))) continue;
    if (child.default !== undefined && !Object.hasOwn(object, name)) set(object, name, structuredClone(child.default));
    if (Object.hasOwn(object, name)) fill(object[name], child);
  }
  if (isNode(node.additionalProperties)) {
    for (const one of Object.values(object)) fill(one, node.additionalProperties);
  }
}

/** Lists that are sets, or maps by keys, have nothing twice. */
function listFaults(value: unknown, node: CustomSchemaNode, path: FieldPath): Violation[] {
  if (Array.isArray(value)) {
    const kind = node['x-kubernetes-list-type'];
    const keys = node['x-kubernetes-list-map-keys'];
    const nameOf =
      kind === 'set'
        ? (item: unknown) => JSON.stringify(item)
        : kind === 'map' && Array.isArray(keys)
          ? (item: unknown) => JSON.stringify(keys.map((key) => mapOf(item)[String(key)] ?? null))
          : undefined;
    const seen = new Set<string>();
    const out: Violation[] = [];
    for (const [i, item] of value.entries()) {
      const name = nameOf?.(item);
      if (name !== undefined && seen.has(name)) out.push({ path: [...path, i], message: 'stands in the list twice' });
      if (name !== undefined) seen.add(name);
      if (isNode(node.items)) out.push(...listFaults(item, node.items, [...path, i]));
    }
    return out.slice(0, MOST_NAMED);
  }
  if (!isNode(value)) return [];
  const properties = mapOf(node.properties);
  return Object.entries(value)
    .flatMap(([name, child]) => {
      const own = Object.hasOwn(properties, name) ? properties[name] : node.additionalProperties;
      return isNode(own) ? listFaults(child, own, [...path, name]) : [];
    })
    .slice(0, MOST_NAMED);
}

/** Every part of a schema that values are of, with where it stands. */
export function eachNode(
  node: CustomSchemaNode,
  path: FieldPath,
  visit: (node: CustomSchemaNode, path: FieldPath) => void,
): void {
  visit(node, path);
  for (const [name, child] of Object.entries(mapOf(node.properties))) {
    if (isNode(child)) eachNode(child, [...path, 'properties', name], visit);
  }
  if (isNode(node.items)) eachNode(node.items, [...path, 'items'], visit);
  if (isNode(node.additionalProperties)) {
    eachNode(node.additionalProperties, [...path, 'additionalProperties'], visit);
  }
}

/** A field may be called `__proto__`: it is then a field. */
function set(object: Json, name: string, value: unknown): void {
  Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
}
