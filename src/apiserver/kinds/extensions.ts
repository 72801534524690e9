/**
 * CustomResourceDefinition: a kind like the others, whose objects bring kinds of their own (custom/). Whatever of one
 * could not be served as it says is refused with its place, or warned of.
 */
import { isDeepStrictEqual } from 'node:util';
import type { FieldPath, Violation } from '../../kube/violation.ts';
import { type ApiObject, fieldAt } from '../api-object.ts';
import type { DefinitionSpec, DefinitionVersion } from '../custom/custom-resource.ts';
import { CustomSchema, eachNode } from '../custom/custom-schema.ts';
import { JsonPath } from '../custom/json-path.ts';
import { isNode, mapOf, RULES, structuralFaults } from '../custom/structural-schema.ts';
import { boolean, column, integer, list, metadata, NAME_COLUMN, object, oneOf, string, text } from './fields.ts';
import type { Resource } from './resource.ts';

/** Held until the last of its objects has gone. */
export const CLEANUP_FINALIZER = 'customresourcecleanup.apiextensions.k8s.io';
const COLUMN_TYPES = ['integer', 'number', 'string', 'boolean', 'date'];
const MOST_VERSIONS = 20;

const label = text('dns-1035-label');
const names = object(
  { plural: label, singular: label, kind: string, listKind: string, shortNames: list(label), categories: list(label) },
  ['plural', 'kind'],
);
const version = object(
  {
    name: label,
    served: boolean,
    storage: boolean,
    deprecated: boolean,
    deprecationWarning: string,
    schema: object({ openAPIV3Schema: object({}) }, ['openAPIV3Schema']),
    subresources: object({
      status: object({}),
      scale: object({ specReplicasPath: string, statusReplicasPath: string, labelSelectorPath: string }, [
        'specReplicasPath',
        'statusReplicasPath',
      ]),
    }),
    additionalPrinterColumns: list(
      object(
        {
          name: string,
          type: oneOf(...COLUMN_TYPES),
          jsonPath: string,
          description: string,
          format: string,
          priority: integer,
        },
        ['name', 'type', 'jsonPath'],
      ),
    ),
    selectableFields: list(object({ jsonPath: string }, ['jsonPath'])),
  },
  ['name', 'served', 'storage', 'schema'],
);

function definitionRules(definition: ApiObject, old: ApiObject | undefined): Violation[] {
  // What was right and has not changed is right.
  if (old && isDeepStrictEqual(old.spec, definition.spec)) return [];
  const spec = definition.spec as unknown as DefinitionSpec;
  const out: Violation[] = [];
  const say = (path: FieldPath, message: string) => out.push({ path: ['spec', ...path], message });
  if (definition.metadata.name !== `${spec.names.plural}.${spec.group}`) {
    out.push({ path: ['metadata', 'name'], message: 'must be spec.names.plural+"."+spec.group' });
  }
  if (!spec.group.includes('.')) say(['group'], 'must be a domain with at least one dot');
  if (!/^[A-Za-z][A-Za-z0-9]{0,62}$/.test(spec.names.kind)) say(['names', 'kind'], 'must be letters and digits');
  if (fieldAt(definition, ['spec', 'preserveUnknownFields']) === true) {
    say(['preserveUnknownFields'], 'must be false: use x-kubernetes-preserve-unknown-fields in the schema');
  }
  const strategy = fieldAt(definition, ['spec', 'conversion', 'strategy']);
  if (strategy !== 'None') say(['conversion', 'strategy'], 'must be None: webhooks are not called');
  versionsFaults(spec, say);
  const before = old?.spec as unknown as DefinitionSpec | undefined;
  if (before) {
    for (const field of ['group', 'scope'] as const)
      if (before[field] !== spec[field]) say([field], 'field is immutable');
    for (const field of ['plural', 'kind'] as const) {
      if (before.names[field] !== spec.names[field]) say(['names', field], 'field is immutable');
    }
    const stored = (fieldAt(old, ['status', 'storedVersions']) ?? []) as string[];
    const missing = stored.find((name) => !spec.versions.some((one) => one.name === name));
    if (missing) say(['versions'], `must have ${missing} still: it is in status.storedVersions`);
  }
  if (out.length > 0) return out;
  // Only what is otherwise right is worth compiling.
  for (const [i, one] of spec.versions.entries()) {
    const path = ['spec', 'versions', i, 'schema', 'openAPIV3Schema'];
    const schema = mapOf(one.schema?.openAPIV3Schema);
    out.push(...structuralFaults(schema, path));
    if (out.length > 0) continue;
    try {
      out.push(...new CustomSchema(schema).defaultFaults(path));
    } catch (error) {
      out.push({ path, message: `cannot be used: ${error instanceof Error ? error.message : error}` });
    }
  }
  return out;
}

function versionsFaults({ versions }: DefinitionSpec, say: (path: FieldPath, message: string) => void): void {
  if (versions.length === 0 || versions.length > MOST_VERSIONS) say(['versions'], `must be 1 to ${MOST_VERSIONS}`);
  if (new Set(versions.map(({ name }) => name)).size !== versions.length)
    say(['versions'], 'must have names of their own');
  if (versions.filter(({ storage }) => storage).length !== 1) {
    say(['versions'], 'must have exactly one version marked as storage version');
  }
  for (const [i, one] of versions.entries()) versionFaults(one, ['versions', i], say);
}

function versionFaults(one: DefinitionVersion, path: FieldPath, say: (path: FieldPath, message: string) => void): void {
  for (const [i, { jsonPath }] of (one.additionalPrinterColumns ?? []).entries()) {
    if (JsonPath.parse(jsonPath)) continue;
    say([...path, 'additionalPrinterColumns', i, 'jsonPath'], 'must be a simple JSON path such as .spec.replicas');
  }
  for (const [i, { jsonPath }] of (one.selectableFields ?? []).entries()) {
    if (JsonPath.parse(jsonPath)?.fields) continue;
    say([...path, 'selectableFields', i, 'jsonPath'], 'must name a field, such as .spec.color');
  }
  const { scale } = one.subresources ?? {};
  for (const field of ['specReplicasPath', 'statusReplicasPath', 'labelSelectorPath'] as const) {
    const value = scale?.[field];
    if (value === undefined) continue;
    const [first] = JsonPath.parse(value)?.fields ?? [];
    const wanted =
      field === 'specReplicasPath' ? ['spec'] : field === 'statusReplicasPath' ? ['status'] : ['spec', 'status'];
    if (first === undefined || !wanted.includes(first)) {
      say([...path, 'subresources', 'scale', field], `must be a path under .${wanted.join(' or .')}`);
    }
  }
}

function definitionWarnings(definition: ApiObject): string[] {
  const out: string[] = [];
  const { versions = [] } = (definition.spec ?? {}) as unknown as DefinitionSpec;
  for (const [i, one] of versions.entries()) {
    const schema = one.schema?.openAPIV3Schema;
    let ruled = '';
    if (isNode(schema)) {
      eachNode(schema, [], (node, path) => {
        if (node[RULES] !== undefined) ruled ||= path.filter((part) => part !== 'properties').join('.') || 'the root';
      });
    }
    if (ruled) out.push(`spec.versions[${i}]: the rules of ${RULES} are not evaluated here (first at ${ruled})`);
  }
  return out;
}

export const DEFINITIONS: Resource = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  singular: 'customresourcedefinition',
  shortNames: ['crd', 'crds'],
  categories: ['api-extensions'],
  namespaced: false,
  status: true,
  schema: object(
    {
      metadata,
      spec: object(
        {
          group: text('dns-name'),
          names,
          scope: oneOf('Cluster', 'Namespaced'),
          versions: list(version),
          conversion: object({ strategy: oneOf('None', 'Webhook') }),
          preserveUnknownFields: boolean,
        },
        ['group', 'names', 'scope', 'versions'],
      ),
    },
    ['spec'],
  ),
  columns: [NAME_COLUMN, column('Created At', 'When it was made', ({ metadata }) => metadata.creationTimestamp)],
  defaults: (o) => {
    const spec = { conversion: { strategy: 'None' }, ...o.spec } as Record<string, unknown>;
    if (isNode(spec.names) && typeof spec.names.kind === 'string') {
      const { kind } = spec.names;
      spec.names = { singular: kind.toLowerCase(), listKind: `${kind}List`, ...spec.names };
    }
    o.spec = spec;
    const { deletionTimestamp, finalizers } = o.metadata;
    const held = Array.isArray(finalizers) ? finalizers : [];
    if (deletionTimestamp === undefined && !held.includes(CLEANUP_FINALIZER)) {
      o.metadata.finalizers = [...held, CLEANUP_FINALIZER];
    }
  },
  rules: definitionRules,
  warnings: definitionWarnings,
};
