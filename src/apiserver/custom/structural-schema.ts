/**
 * Whether a custom kind's schema is structural (k8s.io/apiextensions-apiserver pkg/apiserver/schema): every value has a
 * type that is said once, outside of allOf, anyOf, oneOf and not, so that it is known which fields there are.
 */
import type { FieldPath, Violation } from '../../kube/violation.ts';
import { patternFault } from './schema-pattern.ts';

/** A part of an openAPIV3Schema, as its writer sent it. */
export type CustomSchemaNode = Readonly<Record<string, unknown>>;

const MOST_NODES = 20_000;
const DEEPEST = 50;
const TYPES = new Set(['array', 'boolean', 'integer', 'number', 'object', 'string']);
/** Of JSON Schema, but not of structural schemas. */
const FORBIDDEN = [
  '$ref',
  'definitions',
  'dependencies',
  'discriminator',
  'id',
  'patternProperties',
  'additionalItems',
  'readOnly',
  'writeOnly',
  'xml',
] as const;
/** What only the outside may say. */
const OUTER_ONLY = ['default', 'additionalProperties', 'nullable', 'type', 'title', 'description'] as const;
const COUNTS = ['minLength', 'maxLength', 'minItems', 'maxItems', 'minProperties', 'maxProperties'] as const;
const NUMBERS = ['minimum', 'maximum', 'multipleOf'] as const;
const FLAGS = [
  'nullable',
  'uniqueItems',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'x-kubernetes-preserve-unknown-fields',
  'x-kubernetes-int-or-string',
  'x-kubernetes-embedded-resource',
] as const;

export const PRESERVE = 'x-kubernetes-preserve-unknown-fields';
export const INT_OR_STRING = 'x-kubernetes-int-or-string';
export const EMBEDDED = 'x-kubernetes-embedded-resource';
export const RULES = 'x-kubernetes-validations';

/** What is wrong with a schema; paths begin with `path`. */
export function structuralFaults(schema: unknown, path: FieldPath): Violation[] {
  const check = new StructuralCheck();
  check.node(schema, path, undefined, 0);
  if (isNode(schema) && schema.type !== 'object') check.say([...path, 'type'], 'must be object at the root');
  return check.faults;
}

class StructuralCheck {
  readonly faults: Violation[] = [];
  #nodes = 0;

  say(path: FieldPath, message: string): void {
    if (this.faults.length < 20) this.faults.push({ path, message });
  }

  /** `outer`: what stands outside of the allOf, anyOf, oneOf or not that this is a part of. */
  node(schema: unknown, path: FieldPath, outer: CustomSchemaNode | undefined, depth: number): void {
    this.#nodes++;
    if (this.#nodes > MOST_NODES || depth > DEEPEST) {
      if (this.#nodes === MOST_NODES + 1 || depth > DEEPEST) this.say(path, 'the schema is too large or too deep');
      return;
    }
    if (!isNode(schema)) {
      this.say(path, 'must be a schema');
      return;
    }
    for (const word of FORBIDDEN) if (schema[word] !== undefined) this.say([...path, word], 'is forbidden');
    this.#values(schema, path);
    if (outer) this.#inner(schema, path, outer);
    else this.#typed(schema, path);
    this.#children(schema, path, outer, depth);
  }

  #values(schema: CustomSchemaNode, path: FieldPath): void {
    const { type, pattern, required, enum: values } = schema;
    const each = (words: readonly string[], fits: (value: unknown) => boolean, message: string) => {
      for (const word of words)
        if (schema[word] !== undefined && !fits(schema[word])) this.say([...path, word], message);
    };
    if (type !== undefined && !(typeof type === 'string' && TYPES.has(type))) {
      this.say([...path, 'type'], `must be one of ${[...TYPES].join(', ')}`);
    }
    each(COUNTS, (value) => Number.isInteger(value) && (value as number) >= 0, 'must be a whole number of 0 or more');
    each(NUMBERS, (value) => Number.isFinite(value), 'must be a number');
    each(FLAGS, (value) => typeof value === 'boolean', 'must be true or false');
    each(['multipleOf'], (value) => (value as number) > 0, 'must be more than 0');
    each(['format', 'title', 'description'], (value) => typeof value === 'string', 'must be a string');
    each(['enum'], (value) => Array.isArray(value) && value.length > 0, 'must be a list of values');
    if (Array.isArray(values) && values.length > 1000) this.say([...path, 'enum'], 'must have at most 1000 values');
    const named = Array.isArray(required) && required.every((name) => typeof name === 'string');
    if (required !== undefined && !named) this.say([...path, 'required'], 'must be a list of names');
    const fault = pattern === undefined ? undefined : patternFault(pattern);
    if (fault) this.say([...path, 'pattern'], fault);
    if (schema.uniqueItems === true) this.say([...path, 'uniqueItems'], 'cannot be true: it is too slow');
  }

  /** A value that stands by itself. */
  #typed(schema: CustomSchemaNode, path: FieldPath): void {
    const { type, properties, additionalProperties, items } = schema;
    if (schema[INT_OR_STRING] === true) {
      if (type !== undefined) this.say([...path, 'type'], `must not stand beside ${INT_OR_STRING}`);
    } else if (type === undefined && schema[PRESERVE] !== true) this.say([...path, 'type'], 'is required');
    if (properties !== undefined && additionalProperties !== undefined) {
      this.say([...path, 'additionalProperties'], 'must not be used together with properties');
    }
    if (additionalProperties === false) this.say([...path, 'additionalProperties'], 'must not be false');
    if (type === 'array' && items === undefined) this.say([...path, 'items'], 'must be specified');
    if (schema[EMBEDDED] === true && type !== 'object')
      this.say([...path, 'type'], 'must be object for an embedded one');
  }

  /** A part of an alternative: it says more of what the outside has said, nothing new. */
  #inner(schema: CustomSchemaNode, path: FieldPath, outer: CustomSchemaNode): void {
    const typeOfBoth = outer[INT_OR_STRING] === true;
    for (const word of OUTER_ONLY) {
      if (schema[word] === undefined || (word === 'type' && typeOfBoth)) continue;
      this.say([...path, word], 'must not be said within allOf, anyOf, oneOf or not');
    }
    for (const name of Object.keys(mapOf(schema.properties))) {
      if (outer[PRESERVE] !== true && !Object.hasOwn(mapOf(outer.properties), name)) {
        this.say([...path, 'properties', name], 'must be specified outside of allOf, anyOf, oneOf and not, too');
      }
    }
    if (schema.items !== undefined && outer.items === undefined) {
      this.say([...path, 'items'], 'must be specified outside of allOf, anyOf, oneOf and not, too');
    }
  }

  #children(schema: CustomSchemaNode, path: FieldPath, outer: CustomSchemaNode | undefined, depth: number): void {
    const { properties, additionalProperties, items } = schema;
    if (properties !== undefined && !isNode(properties)) this.say([...path, 'properties'], 'must be a map');
    for (const [name, child] of Object.entries(mapOf(properties))) {
      const outside = outer && ownNode(mapOf(outer.properties), name);
      this.node(child, [...path, 'properties', name], outer && (outside ?? outer), depth + 1);
    }
    if (items !== undefined) {
      if (Array.isArray(items)) this.say([...path, 'items'], 'must be a schema: lists of schemas are not supported');
      else this.node(items, [...path, 'items'], outer && (nodeOf(outer.items) ?? outer), depth + 1);
    }
    if (additionalProperties !== undefined && typeof additionalProperties !== 'boolean') {
      const outside = outer && (nodeOf(outer.additionalProperties) ?? outer);
      this.node(additionalProperties, [...path, 'additionalProperties'], outside, depth + 1);
    }
    for (const word of ['allOf', 'anyOf', 'oneOf'] as const) {
      const list = schema[word];
      if (list === undefined) continue;
      if (!Array.isArray(list) || list.length === 0) this.say([...path, word], 'must be a list of schemas');
      else for (const [i, one] of list.entries()) this.node(one, [...path, word, i], outer ?? schema, depth + 1);
    }
    if (schema.not !== undefined) this.node(schema.not, [...path, 'not'], outer ?? schema, depth + 1);
  }
}

export function isNode(value: unknown): value is CustomSchemaNode {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function mapOf(value: unknown): CustomSchemaNode {
  return isNode(value) ? value : {};
}

function nodeOf(value: unknown): CustomSchemaNode | undefined {
  return isNode(value) ? value : undefined;
}

function ownNode(map: CustomSchemaNode, name: string): CustomSchemaNode | undefined {
  return Object.hasOwn(map, name) ? nodeOf(map[name]) : undefined;
}
