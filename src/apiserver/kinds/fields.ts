/** Parts of schemas and columns that several kinds share. */
import type { SchemaObject } from 'ajv';
import { isJsonObject } from '../../kube/json-value.ts';
import { SCHEMAS } from '../../kube/schemas.ts';
import { type ApiObject, fieldAt } from '../api-object.ts';
import type { Column } from './resource.ts';

export const string: SchemaObject = { type: 'string' };
export const boolean: SchemaObject = { type: 'boolean' };
export const integer: SchemaObject = { type: 'integer' };
export const natural: SchemaObject = { type: 'integer', minimum: 0 };
export const text = (format: string): SchemaObject => ({ type: 'string', format });
export const list = (items: SchemaObject): SchemaObject => ({ type: 'array', items });
export const oneOf = (...values: string[]): SchemaObject => ({ type: 'string', enum: values });
export const object = (properties: Record<string, SchemaObject>, required: string[] = []): SchemaObject => ({
  type: 'object',
  properties,
  required,
});
export const mapOf = (values: SchemaObject): SchemaObject => ({ type: 'object', additionalProperties: values });

const labels: SchemaObject = {
  type: 'object',
  propertyNames: text('label-key'),
  additionalProperties: text('label-value'),
};

export const metadata = object({
  name: string,
  namespace: text('dns-label'),
  labels,
  annotations: mapOf(string),
});

export const labelSelector = object({
  matchLabels: labels,
  matchExpressions: list(
    object({ key: text('label-key'), operator: oneOf('In', 'NotIn', 'Exists', 'DoesNotExist'), values: list(string) }, [
      'key',
      'operator',
    ]),
  ),
});

/** Of a workload: what its pods will be held to. */
export const podTemplate = object(
  { metadata: object({ labels, annotations: mapOf(string) }), spec: SCHEMAS.Pod.properties.spec as SchemaObject },
  ['spec'],
);

/** The number at a path, 0 where there is none. */
export function numberAt(object: ApiObject, ...path: string[]): number {
  const value = fieldAt(object, path);
  return typeof value === 'number' ? value : 0;
}

export function textAt(object: ApiObject, ...path: string[]): string {
  const value = fieldAt(object, path);
  return typeof value === 'string' ? value : '';
}

export function listAt(object: unknown, ...path: string[]): Record<string, unknown>[] {
  const value = fieldAt(object, path);
  return Array.isArray(value) ? (value as Record<string, unknown>[]) : [];
}

/** As selectors write a switch: what is left out is off. */
export function flagAt(object: ApiObject, ...path: string[]): string {
  return `${fieldAt(object, path) === true}`;
}

/** Fields that objects can be selected by, as Resource has them: each as text, '' where it is not there. */
export function selectable(...paths: (readonly string[])[]): Record<string, (object: ApiObject) => string> {
  return Object.fromEntries(
    paths.map((path) => [path.join('.'), (object: ApiObject) => `${fieldAt(object, path) ?? ''}`]),
  );
}

/** `a=b,c=d`, as tables show labels. */
export function labelText(value: unknown): string {
  const pairs = Object.entries((value ?? {}) as Record<string, string>).map(([k, v]) => `${k}=${v}`);
  return pairs.length === 0 ? '<none>' : pairs.join(',');
}

/** A label selector as queries write it; '' where it has no requirements. */
export function selectorText(value: unknown): string {
  const { matchLabels, matchExpressions = [] } = (value ?? {}) as {
    matchLabels?: Record<string, string>;
    matchExpressions?: { key: string; operator: string; values?: string[] }[];
  };
  const parts = Object.entries(matchLabels ?? {}).map(([k, v]) => `${k}=${v}`);
  for (const { key, operator, values = [] } of matchExpressions) {
    if (operator === 'Exists') parts.push(key);
    else if (operator === 'DoesNotExist') parts.push(`!${key}`);
    else parts.push(`${key} ${operator.toLowerCase()} (${values.join(',')})`);
  }
  return parts.join(',');
}

export const NAME_COLUMN: Column = {
  name: 'Name',
  type: 'string',
  description: 'Name of the object, unique within its namespace',
  cell: ({ metadata }) => metadata.name,
};

export const AGE_COLUMN: Column = {
  name: 'Age',
  type: 'string',
  description: 'Time since the object was made',
  cell: ({ metadata }) => age(metadata.creationTimestamp),
};

export function column(
  name: string,
  description: string,
  cell: (object: ApiObject) => string | number | boolean,
  options: { type?: Column['type']; wide?: true } = {},
): Column {
  return { name, description, type: options.type ?? 'string', cell, ...(options.wide ? { wide: true as const } : {}) };
}

/** As kubectl writes ages (k8s.io/apimachinery duration.HumanDuration): `12s`, `3m5s`, `5h`, `2d4h`, `400d`. */
export function age(since: string, now: number = Date.now()): string {
  const seconds = Math.floor((now - Date.parse(since)) / 1000);
  if (!Number.isFinite(seconds) || seconds < -1) return '<unknown>';
  if (seconds < 0) return '0s';
  if (seconds < 120) return `${seconds}s`;
  const two = (large: number, unit: string, small: number, smallUnit: string) =>
    small === 0 ? `${large}${unit}` : `${large}${unit}${small}${smallUnit}`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10) return two(minutes, 'm', seconds % 60, 's');
  if (minutes < 180) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 8) return two(hours, 'h', minutes % 60, 'm');
  if (hours < 48) return `${hours}h`;
  const days = Math.floor(hours / 24);
  if (hours < 192) return two(days, 'd', hours % 24, 'h');
  if (days < 730) return `${days}d`;
  const years = Math.floor(days / 365);
  return days < 2920 ? two(years, 'y', days % 365, 'd') : `${years}y`;
}

/** The objects of a list, changed; everything else as it is. */
export function mapObjects(
  value: unknown,
  change: (object: Record<string, unknown>) => Record<string, unknown>,
): unknown {
  return Array.isArray(value) ? value.map((each: unknown) => (isJsonObject(each) ? change(each) : each)) : value;
}
