/**
 * What the API server knows of a kind, as data: one entry a kind in the tables of kinds/, one set of handlers for all.
 * A kind differs by its schema, its defaults and rules, its columns and its strategy; never by a handler of its own.
 */
import type { SchemaObject } from 'ajv';
import type { MergeRules } from '../../kube/three-way-patch.ts';
import type { Violation } from '../../kube/violation.ts';
import type { ApiObject } from '../api-object.ts';
import type { Allocation } from './allocation.ts';

export interface Column {
  /** As kubectl's header has it, in upper case there. */
  name: string;
  type: 'string' | 'integer' | 'number' | 'boolean' | 'date';
  description: string;
  /** Shown only with `-o wide`. */
  wide?: true;
  cell(object: ApiObject): string | number | boolean;
}

export interface ScaleFields {
  /** Paths within the object. */
  replicas: readonly string[];
  statusReplicas: readonly string[];
  selector?: readonly string[];
}

/** What a kind has that a CustomResourceDefinition made: see custom/. */
export interface CustomParts {
  /** The version that objects are kept in. */
  storageVersion: string;
  /** In place of what is compiled from `schema`, which is OpenAPI. */
  check(object: unknown): Violation[];
  /** Fields of an object that are dropped. */
  unknownFields(object: ApiObject): string[];
}

export interface Resource {
  /** '' is the core group. */
  group: string;
  version: string;
  kind: string;
  /** `pods`: the word in paths. */
  plural: string;
  singular: string;
  shortNames?: readonly string[];
  /** `kubectl get all` shows these. */
  categories?: readonly string[];
  namespaced: boolean;
  /** JSON Schema of the whole object; OpenAPI is made of it. */
  schema: SchemaObject;
  /** Written by a subresource of its own, and left alone by the main one. */
  status?: true;
  scale?: ScaleFields;
  /** Subresources that the server of an object's node answers. */
  nodeParts?: readonly string[];
  columns: readonly Column[];
  /** What objects can be selected by beside metadata.name and metadata.namespace: the text of each field. */
  fieldSelectors?: Readonly<Record<string, (object: ApiObject) => string>>;
  /** See MergeRules. */
  mergeKeys?: Readonly<Record<string, string>>;
  retainKeys?: readonly string[];
  /** What a name must be; a DNS-1123 name where nothing stands. */
  nameFormat?: 'dns-label' | 'dns-name' | 'dns-1035-label';
  /** Fills in what the writer left out; may change the object. */
  defaults?(object: ApiObject): void;
  /** What an update leaves out and yet keeps, such as what was given to it; before defaults, may change the object. */
  inherit?(object: ApiObject, old: ApiObject): void;
  /** What objects of this kind have each for itself alone, out of the cluster's ranges. */
  allocation?: Allocation;
  /** What a writer should know of an object that is taken all the same. */
  warnings?(object: ApiObject): string[];
  custom?: CustomParts;
  /** Rules that the schema cannot say; `old` is what an update replaces. */
  rules?(object: ApiObject, old: ApiObject | undefined): Violation[];
  /** Seconds that a deletion waits for somebody to finish it; 0: gone at once. */
  graceSeconds?(object: ApiObject): number;
  /** Seconds until an object of this kind goes by itself, counted from its last write. */
  ttlSeconds?: number;
  /** Written again and again by whoever is alive: updates of many may share a revision. */
  heartbeat?: true;
}

/** `v1`, `apps/v1`. */
export function apiVersionOf({ group, version }: Pick<Resource, 'group' | 'version'>): string {
  return group === '' ? version : `${group}/${version}`;
}

const METADATA_KEYS = { 'metadata.finalizers': '', 'metadata.ownerReferences': 'uid' } as const;

/** Of strategic merge patches, which custom kinds do not take. */
export function mergeRulesOf({ mergeKeys, retainKeys = [] }: Pick<Resource, 'mergeKeys' | 'retainKeys'>): MergeRules {
  return { mergeKeys: { ...METADATA_KEYS, ...mergeKeys }, retainKeys };
}

/** As this version of its kind shows it: custom kinds alone have several, which differ in their name. */
export function asVersion(resource: Resource, object: ApiObject, version = resource.version): ApiObject {
  if (!resource.custom) return object;
  const apiVersion = apiVersionOf({ group: resource.group, version });
  return object.apiVersion === apiVersion ? object : { ...object, apiVersion };
}

/** `pods`, `deployments.apps`: how messages name a kind of resource. */
export function resourceName({ plural, group }: Pick<Resource, 'plural' | 'group'>): string {
  return group === '' ? plural : `${plural}.${group}`;
}

/** Where objects of a kind stand in the store: `/registry/pods/`, `/registry/apps/deployments/`. */
export function storePrefix({ group, plural }: Pick<Resource, 'group' | 'plural'>, namespace?: string): string {
  const kind = group === '' ? plural : `${group}/${plural}`;
  return namespace === undefined ? `/registry/${kind}/` : `/registry/${kind}/${namespace}/`;
}

export function storeKey(resource: Resource, namespace: string | undefined, name: string): string {
  return `${storePrefix(resource, resource.namespaced ? namespace : undefined)}${name}`;
}

/** Groups that are no domain: those of custom kinds always are, and the core group's kinds never. */
const SHORT_GROUPS: ReadonlySet<string> = new Set(['apps', 'autoscaling', 'batch', 'extensions', 'policy']);

/** The prefix of the kind that a key of the store belongs to: `/registry/apps/deployments/`. */
export function kindPrefixOf(key: string): string | undefined {
  const [, registry, first = '', second = '', ...rest] = key.split('/', 6);
  if (registry !== 'registry') return undefined;
  if (!first.includes('.') && !SHORT_GROUPS.has(first)) return second === '' ? undefined : `/registry/${first}/`;
  return rest.length === 0 ? undefined : `/registry/${first}/${second}/`;
}
