/**
 * Validates one object against its schema and the rules between its fields, and says what is wrong in sentences for
 * the person who wrote it. Stands between the parsed text of a manifest and everything that trusts its objects.
 */
import { Ajv, type ErrorObject, type SchemaObject } from 'ajv';
import { objectRules } from './object-rules.ts';
import type { KubeKind, KubeObject } from './objects.ts';
import { API_VERSIONS, SCHEMAS } from './schemas.ts';
import { TEXT_FORMATS } from './text-formats.ts';
import type { Violation } from './violation.ts';

/** More than anybody reads of one object. */
const VIOLATION_LIMIT = 20;
const VALUE_CHARACTERS = 60;

/** What is wrong with a value by a schema; nothing: it fulfils it. */
export type SchemaCheck = (value: unknown) => Violation[];

const checks = new Map<string, SchemaCheck>();

/** Whether the network reads this kind. */
export function isKnownKind(apiVersion: unknown, kind: unknown): kind is KubeKind {
  return typeof kind === 'string' && Object.hasOwn(SCHEMAS, kind) && API_VERSIONS[kind as KubeKind] === apiVersion;
}

/** What is wrong with a value that claims to be of a kind; empty: it is a KubeObject. */
export function validate(kind: KubeKind, value: unknown): Violation[] {
  // Compiled at first use: a process that reads no manifests pays nothing.
  let check = checks.get(kind);
  if (!check) {
    check = schemaCheck(SCHEMAS[kind]);
    checks.set(kind, check);
  }
  const violations = check(value);
  return violations.length > 0 ? violations : objectRules(value as KubeObject).slice(0, VIOLATION_LIMIT);
}

/**
 * Compiles a schema, which may use the formats of TEXT_FORMATS unless its own compiler is given, with allErrors and
 * verbose. Throws where it is none.
 */
export function schemaCheck(schema: SchemaObject, ajv: Ajv = ownCompiler()): SchemaCheck {
  const fulfils = ajv.compile(schema);
  return (value) => (fulfils(value) ? [] : sentences(fulfils.errors ?? []).slice(0, VIOLATION_LIMIT));
}

function ownCompiler(): Ajv {
  const ajv = new Ajv({ allErrors: true, verbose: true, strict: true, allowUnionTypes: true });
  for (const [name, format] of Object.entries(TEXT_FORMATS)) ajv.addFormat(name, format.matches);
  return ajv;
}

function sentences(errors: readonly ErrorObject[]): Violation[] {
  // A failed anyOf comes with an error for each branch: its own sentence says it all.
  const unions = errors.filter((e) => e.keyword === 'anyOf' || e.keyword === 'oneOf');
  const inUnion = (e: ErrorObject): boolean =>
    unions.some((u) => e.schemaPath.startsWith(`${u.schemaPath}/`) && e.instancePath.startsWith(u.instancePath));
  return errors.filter((e) => e.keyword !== 'propertyNames' && !inUnion(e)).map(violation);
}

function violation(e: ErrorObject): Violation {
  const path = pointer(e.instancePath);
  const params = e.params as Record<string, unknown>;
  const schema = e.parentSchema as Record<string, unknown> | undefined;
  if (e.keyword === 'required') return { path: [...path, String(params.missingProperty)], message: 'is required' };
  if (e.propertyName !== undefined) return { path: [...path, e.propertyName], message: wanted(String(params.format)) };
  return { path, message: `${demand(e, params, schema)}${not(e.data)}` };
}

function demand(e: ErrorObject, params: Record<string, unknown>, schema: Record<string, unknown> | undefined): string {
  switch (e.keyword) {
    case 'anyOf':
      return String(schema?.description ?? 'must be one of the forms that its schema has');
    case 'format':
      return wanted(String(params.format));
    case 'type':
      return `must be ${[params.type]
        .flat()
        .map((type) => TYPE_NAMES[String(type)] ?? type)
        .join(' or ')}`;
    case 'enum':
      return `must be ${choice(params.allowedValues as string[])}`;
    case 'minimum':
    case 'maximum':
      return schema?.minimum !== undefined && schema.maximum !== undefined
        ? `must be between ${schema.minimum} and ${schema.maximum}`
        : `must be at ${e.keyword === 'minimum' ? 'least' : 'most'} ${params.limit}`;
    case 'minLength':
    case 'minItems':
      return 'must not be empty';
    case 'maxItems':
      return `must have at most ${params.limit} items`;
    default:
      return e.message ?? e.keyword;
  }
}

function choice(values: readonly string[]): string {
  const words = values.filter((value) => value !== '');
  return `one of ${words.join(', ')}${words.length < values.length ? ' or empty' : ''}`;
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  string: 'a string',
  integer: 'an integer',
  number: 'a number',
  null: 'null',
  boolean: 'true or false',
  array: 'a list',
  object: 'a map',
};

function wanted(format: string): string {
  return TEXT_FORMATS[format]?.wanted ?? `must be of the form ${format}`;
}

/** The value at fault, where it is short enough to help. */
function not(value: unknown): string {
  if (value === undefined) return '';
  if (Array.isArray(value)) return value.length === 0 ? '' : ', not a list';
  if (typeof value === 'object') return value === null ? ', not null' : ', not a map';
  const text = JSON.stringify(value);
  return text.length > VALUE_CHARACTERS ? `, not ${text.slice(0, VALUE_CHARACTERS)}...` : `, not ${text}`;
}

/** A JSON pointer (RFC 6901) as a path. */
function pointer(text: string): (string | number)[] {
  return text
    .split('/')
    .slice(1)
    .map((part) => (/^\d+$/.test(part) ? Number(part) : part.replaceAll('~1', '/').replaceAll('~0', '~')));
}
