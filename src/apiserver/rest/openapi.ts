/**
 * The schemas of the kinds as clients want them: OpenAPI v3, a document for each group and version, from the very
 * schemas that validate; and the least answer to OpenAPI v2 that lets old clients skip their own validation.
 */
import type { SchemaObject } from 'ajv';
import { INT_OR_STRING, withKnownFields } from '../kinds/field-types.ts';
import { KIND_TYPES } from '../kinds/known-fields.ts';
import { apiVersionOf, type Resource } from '../kinds/resource.ts';
import type { ResourceTable } from '../kinds/resource-table.ts';

/** A v2 document with nothing but its version, as protobuf (gnostic openapi.v2.Document: field 6, "2.0"). */
export const OPENAPI_V2_BYTES = Buffer.from([0x0a, 0x03, 0x32, 0x2e, 0x30]);
export const OPENAPI_V2_TYPE = 'application/octet-stream';

const INFO = { title: 'Weft', version: 'v1' } as const;

/** The list of documents: `apis/apps/v1` to its path. */
export function openApiIndex(table: ResourceTable): Record<string, unknown> {
  const paths: Record<string, unknown> = {};
  for (const { group, version } of table) {
    const path = pathOf(group, version);
    paths[path] = { serverRelativeURL: `/openapi/v3/${path}` };
  }
  return { paths };
}

/** One document, undefined where there is no such group and version. */
export function openApiDocument(table: ResourceTable, path: string): Record<string, unknown> | undefined {
  const own = [...table].filter(({ group, version }) => pathOf(group, version) === path);
  if (own.length === 0) return undefined;
  const paths: Record<string, unknown> = {};
  const schemas: Record<string, unknown> = {};
  const types = new Set<string>();
  const referTo = (type: string) => {
    types.add(type);
    return { $ref: `#/components/schemas/${typeName(type)}` };
  };
  for (const resource of own) {
    Object.assign(paths, pathsOf(resource));
    schemas[schemaName(resource)] = schemaOf(resource, referTo);
  }
  // Those that are met on the way come behind, and have their turn.
  for (const type of types) schemas[typeName(type)] = withKnownFields({ type: 'object' }, type, referTo);
  return { openapi: '3.0.0', info: INFO, paths, components: { schemas } };
}

function pathOf(group: string, version: string): string {
  return group === '' ? `api/${version}` : `apis/${group}/${version}`;
}

function schemaName({ group, version, kind }: Resource): string {
  return `io.k8s.api.${group === '' ? 'core' : (group.split('.')[0] as string)}.${version}.${kind}`;
}

/** `V1Volume`: kubectl shows the last word. */
function typeName(type: string): string {
  return `io.k8s.${type.replace(/^[A-Za-z]*?V1(?=[A-Z])/, '')}`;
}

function kindOf({ group, version, kind }: Resource): Record<string, string> {
  return { group, version, kind };
}

function pathsOf(resource: Resource): Record<string, unknown> {
  const { group, version, plural, namespaced } = resource;
  const base = `/${pathOf(group, version)}`;
  const collection = `${base}${namespaced ? '/namespaces/{namespace}' : ''}/${plural}`;
  const reference = { $ref: `#/components/schemas/${schemaName(resource)}` };
  const answer = { responses: { 200: { description: 'OK', content: { 'application/json': { schema: reference } } } } };
  const extensions = (action: string) => ({
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': kindOf(resource),
  });
  const query = (name: string) => ({ name, in: 'query', schema: { type: 'string', uniqueItems: true } });
  const body = { content: { '*/*': { schema: reference } }, required: true };
  const parameters = [query('dryRun'), query('fieldManager'), query('fieldValidation')];
  return {
    [collection]: {
      get: { ...extensions('list'), ...answer, parameters: [query('labelSelector'), query('fieldSelector')] },
      post: { ...extensions('post'), ...answer, parameters, requestBody: body },
    },
    [`${collection}/{name}`]: {
      get: { ...extensions('get'), ...answer },
      put: { ...extensions('put'), ...answer, parameters, requestBody: body },
      patch: { ...extensions('patch'), ...answer, parameters, requestBody: body },
      delete: { ...extensions('delete'), ...answer },
    },
  };
}

/** As the validator has it, with what every object has and with what `explain` shows. */
function schemaOf(resource: Resource, referTo: (type: string) => SchemaObject): Record<string, unknown> {
  const type = resource.custom ? undefined : KIND_TYPES[resource.kind];
  const own = resource.custom ? resource.schema : (plain(resource.schema) as SchemaObject);
  const schema = type === undefined ? own : withKnownFields(own, type, referTo);
  const { properties = {}, required: _, ...rest } = schema;
  return {
    description: `${resource.kind} (${apiVersionOf(resource)})`,
    ...rest,
    properties: {
      apiVersion: { type: 'string', description: 'Version of the schema that this object is written in.' },
      kind: { type: 'string', description: 'What this object is.' },
      ...properties,
      metadata: METADATA,
    },
    'x-kubernetes-group-version-kind': [kindOf(resource)],
  };
}

const METADATA = {
  type: 'object',
  description: 'Name, namespace, labels and what the server keeps about the object.',
  properties: {
    name: { type: 'string' },
    generateName: { type: 'string' },
    namespace: { type: 'string' },
    labels: { type: 'object', additionalProperties: { type: 'string' } },
    annotations: { type: 'object', additionalProperties: { type: 'string' } },
    finalizers: { type: 'array', items: { type: 'string' } },
    ownerReferences: { type: 'array', items: { type: 'object' } },
    uid: { type: 'string' },
    resourceVersion: { type: 'string' },
    generation: { type: 'integer', format: 'int64' },
    creationTimestamp: { type: 'string', format: 'date-time' },
    deletionTimestamp: { type: 'string', format: 'date-time' },
    deletionGracePeriodSeconds: { type: 'integer', format: 'int64' },
  },
} as const;

/** Without what OpenAPI 3.0 does not know: our own formats, unions of types, rules about names. */
function plain(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(plain);
  if (typeof schema !== 'object' || schema === null) return schema;
  const out: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(schema)) {
    if (key === 'properties') {
      out.properties = Object.fromEntries(Object.entries(value as object).map(([name, one]) => [name, plain(one)]));
    } else if (key === 'anyOf') {
      const types = new Set((value as SchemaObject[]).map(({ type }) => type as string));
      Object.assign(out, types.size > 1 ? INT_OR_STRING : { type: [...types][0] });
    } else if (key === 'type' && Array.isArray(value)) {
      out.type = value.find((type) => type !== 'null');
    } else if (key !== 'format' && key !== 'propertyNames' && key !== 'required') {
      out[key] = plain(value);
    } else if (key === 'required' && (value as unknown[]).length > 0) {
      out.required = value;
    }
  }
  return out;
}
