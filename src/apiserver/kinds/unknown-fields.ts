/**
 * Fields of an object that its kind does not have: a name that is misspelt says nothing, and nobody would tell
 * (k8s.io/apimachinery json.UnmarshalStrict; kubectl asks for it by fieldValidation=Strict).
 */
import type { ApiObject } from '../api-object.ts';
import { type Field, fieldsOf, hasFields } from './field-types.ts';
import { KIND_TYPES } from './known-fields.ts';
import type { Resource } from './resource.ts';

/** More are not named. */
const MOST = 20;

/** Paths such as `spec.containers[0].comand`. */
export function unknownFields(resource: Resource, object: ApiObject): string[] {
  if (resource.custom) return resource.custom.unknownFields(object);
  const type = KIND_TYPES[resource.kind];
  const found: string[] = [];
  if (type !== undefined) look(object, type, '', found);
  return found;
}

function look(value: unknown, type: string, path: string, found: string[]): void {
  // What is of a wrong type is told elsewhere.
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return;
  const fields = fieldsOf(type);
  for (const [name, below] of Object.entries(value)) {
    if (found.length === MOST) return;
    const place = path === '' ? name : `${path}.${name}`;
    const field = fields.get(name);
    if (!field) found.push(place);
    else if (hasFields(field.type)) lookBelow(below, field, place, found);
  }
}

function lookBelow(value: unknown, { type, form }: Field, path: string, found: string[]): void {
  if (form === 'one') look(value, type, path, found);
  else if (form === 'list' && Array.isArray(value)) {
    for (const [i, one] of value.entries()) look(one, type, `${path}[${i}]`, found);
  } else if (form === 'map' && typeof value === 'object' && value !== null && !Array.isArray(value)) {
    for (const [name, one] of Object.entries(value)) look(one, type, `${path}.${name}`, found);
  }
}
