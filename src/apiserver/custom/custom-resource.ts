/**
 * What a CustomResourceDefinition says, as entries for the table of kinds: one for each version that is served. Their
 * objects are the same ones, kept in the storage version; versions differ by schema and columns, never by conversion.
 */
import { type SchemaCheck, schemaCheck } from '../../kube/validate.ts';
import type { ApiObject } from '../api-object.ts';
import { AGE_COLUMN, age, metadata, NAME_COLUMN, object, selectable } from '../kinds/fields.ts';
import type { Column, Resource, ScaleFields } from '../kinds/resource.ts';
import { CustomSchema } from './custom-schema.ts';
import { JsonPath } from './json-path.ts';
import { type CustomSchemaNode, mapOf } from './structural-schema.ts';

export interface DefinitionNames {
  plural: string;
  singular?: string;
  kind: string;
  listKind?: string;
  shortNames?: string[];
  categories?: string[];
}

export interface DefinitionVersion {
  name: string;
  served: boolean;
  storage: boolean;
  schema?: { openAPIV3Schema?: CustomSchemaNode };
  subresources?: {
    status?: object;
    scale?: { specReplicasPath: string; statusReplicasPath: string; labelSelectorPath?: string };
  };
  additionalPrinterColumns?: PrinterColumn[];
  selectableFields?: { jsonPath: string }[];
}

export interface PrinterColumn {
  name: string;
  type: string;
  jsonPath: string;
  description?: string;
  priority?: number;
}

export interface DefinitionSpec {
  group: string;
  names: DefinitionNames;
  scope: 'Namespaced' | 'Cluster';
  versions: DefinitionVersion[];
}

/** Of one that was validated. */
export function specOf(definition: ApiObject): DefinitionSpec {
  return definition.spec as unknown as DefinitionSpec;
}

export function storageVersionOf({ versions }: DefinitionSpec): string {
  return versions.find(({ storage }) => storage)?.name ?? '';
}

/** Of the versions that are served. */
export function customResources(definition: ApiObject): Resource[] {
  const spec = specOf(definition);
  const ending = definition.metadata.deletionTimestamp !== undefined;
  return spec.versions.filter(({ served }) => served).map((version) => resourceOf(spec, version, ending));
}

let metadataCheck: SchemaCheck | undefined;

function resourceOf(spec: DefinitionSpec, version: DefinitionVersion, ending: boolean): Resource {
  const { group, names, scope } = spec;
  const schema = version.schema?.openAPIV3Schema ?? {};
  const compiled = new CustomSchema(schema);
  const { status, scale } = version.subresources ?? {};
  const storageVersion = storageVersionOf(spec);
  return {
    group,
    version: version.name,
    kind: names.kind,
    plural: names.plural,
    singular: names.singular ?? names.kind.toLowerCase(),
    ...(names.shortNames ? { shortNames: names.shortNames } : {}),
    ...(names.categories ? { categories: names.categories } : {}),
    namespaced: scope === 'Namespaced',
    schema,
    ...(status ? { status: true } : {}),
    ...(scale ? { scale: scaleFields(scale) } : {}),
    columns: columnsOf(version.additionalPrinterColumns),
    fieldSelectors: selectable(...(version.selectableFields ?? []).map(({ jsonPath }) => fieldsOf(jsonPath))),
    defaults: (custom) => void compiled.complete(custom),
    rules: (_, old) => {
      if (!ending || old) return [];
      const message = 'create not allowed while custom resource definition is terminating';
      return [{ path: ['metadata', 'name'], message }];
    },
    custom: {
      storageVersion,
      check: (custom) => {
        metadataCheck ??= schemaCheck(object({ metadata }));
        const violations = metadataCheck(custom);
        return violations.length > 0 ? violations : compiled.check(custom);
      },
      unknownFields: (custom) => compiled.unknownFields(custom),
    },
  };
}

function scaleFields(scale: {
  specReplicasPath: string;
  statusReplicasPath: string;
  labelSelectorPath?: string;
}): ScaleFields {
  const { specReplicasPath, statusReplicasPath, labelSelectorPath } = scale;
  return {
    replicas: fieldsOf(specReplicasPath),
    statusReplicas: fieldsOf(statusReplicasPath),
    ...(labelSelectorPath ? { selector: fieldsOf(labelSelectorPath) } : {}),
  };
}

function fieldsOf(path: string): string[] {
  return JsonPath.parse(path)?.fields ?? [];
}

function columnsOf(columns: readonly PrinterColumn[] | undefined): Column[] {
  if (!columns) return [NAME_COLUMN, AGE_COLUMN];
  return [NAME_COLUMN, ...columns.map(columnOf)];
}

function columnOf({ name, type, jsonPath, description = '', priority = 0 }: PrinterColumn): Column {
  const path = JsonPath.parse(jsonPath);
  return {
    name,
    type: type as Column['type'],
    description,
    ...(priority > 0 ? { wide: true as const } : {}),
    cell: (custom) => cellOf(path?.valuesIn(custom) ?? [], type),
  };
}

/** The first that is there; a date as the time since. */
function cellOf([value]: unknown[], type: string): string | number | boolean {
  if (value === undefined || value === null) return '';
  if (type === 'date') return age(String(value));
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  return JSON.stringify(mapOf(value) === value ? value : [value].flat());
}
