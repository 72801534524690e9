/**
 * Kubernetes' own list of fields (known-fields.ts), read: what each type has, and OpenAPI schemas of it. Those that check
 * objects know the fields that matter here; `kubectl explain` is told of the others too, which are taken all the same.
 */
import type { SchemaObject } from 'ajv';
import { FIELDS } from './known-fields.ts';

export interface Field {
  /** One that has fields, or what a value is. */
  type: string;
  form: 'one' | 'list' | 'map';
}

const FORMS = { '[]': 'list', '{}': 'map' } as const;
const known = new Map<string, ReadonlyMap<string, Field>>();

export function hasFields(type: string): boolean {
  return Object.hasOwn(FIELDS, type);
}

export function fieldsOf(type: string): ReadonlyMap<string, Field> {
  let fields = known.get(type);
  if (!fields) {
    fields = new Map(
      (FIELDS[type] ?? '').split(' ').map((text): [string, Field] => {
        const [, name = '', form = '', inner = 'string'] = /^([^:]+)(?::(\[\]|\{\})?(\w+))?$/.exec(text) ?? [];
        return [name, { type: inner, form: form === '' ? 'one' : FORMS[form as keyof typeof FORMS] }];
      }),
    );
    known.set(type, fields);
  }
  return fields;
}

export const INT_OR_STRING = {
  type: 'string',
  format: 'int-or-string',
  'x-kubernetes-int-or-string': true,
} as const;
const LEAVES: Readonly<Record<string, SchemaObject>> = {
  // An empty schema ends kubectl's templates.
  any: { type: 'object' },
  time: { type: 'string', format: 'date-time' },
  intOrString: INT_OR_STRING,
};

/** The schema with all fields of a type; what it does not say itself refers to `referTo(type)`. */
export function withKnownFields(
  schema: SchemaObject,
  type: string,
  referTo: (type: string) => SchemaObject,
): SchemaObject {
  const properties: Record<string, SchemaObject> = { ...schema.properties };
  for (const [name, field] of fieldsOf(type)) {
    const own = Object.hasOwn(properties, name) ? properties[name] : undefined;
    properties[name] = own ? deepened(own, field) : fresh(field);
  }
  return { ...schema, properties };

  function deepened(own: SchemaObject, { type: inner, form }: Field): SchemaObject {
    if (!hasFields(inner)) return own;
    if (form === 'one') return withKnownFields(own, inner, referTo);
    const [below, values] = form === 'list' ? ['items', own.items] : ['additionalProperties', own.additionalProperties];
    if (typeof values !== 'object' || values === null) return fresh({ type: inner, form });
    return { ...own, [below]: withKnownFields(values as SchemaObject, inner, referTo) };
  }

  function fresh({ type: inner, form }: Field): SchemaObject {
    const one = hasFields(inner) ? referTo(inner) : (LEAVES[inner] ?? { type: inner });
    if (form === 'list') return { type: 'array', items: one };
    return form === 'map' ? { type: 'object', additionalProperties: one } : one;
  }
}
