/**
 * The API server's kinds, as a reader of manifests knows them: what stands in a file is held to the schema and the
 * rules that a request would be held to, so that what is wrong is said with its line. A kind of some other group may
 * yet be defined: its objects are taken as they are.
 */
import type { ManifestKinds } from '../../kube/manifest.ts';
import type { NamedObject } from '../../kube/objects.ts';
import { TEXT_FORMATS } from '../../kube/text-formats.ts';
import type { Violation } from '../../kube/violation.ts';
import { type ApiObject, fieldAt } from '../api-object.ts';
import type { Resource } from '../kinds/resource.ts';
import type { ResourceTable } from '../kinds/resource-table.ts';

export function manifestKinds(table: ResourceTable): ManifestKinds<NamedObject> {
  return {
    isKnown: (apiVersion, kind) => resourceOfKind(table, apiVersion, kind) !== undefined || mayBeCustom(apiVersion),
    isNamespaced: (apiVersion, kind) => resourceOfKind(table, apiVersion, kind)?.namespaced ?? true,
    read(value) {
      const violations = violationsOf(table, value as ApiObject);
      return violations.length > 0 ? violations : (value as unknown as NamedObject);
    },
  };
}

export function resourceOfKind(table: ResourceTable, apiVersion: string, kind: string): Resource | undefined {
  const slash = apiVersion.lastIndexOf('/');
  const group = slash < 0 ? '' : apiVersion.slice(0, slash);
  const version = apiVersion.slice(slash + 1);
  for (const resource of table) {
    if (resource.kind === kind && resource.group === group && resource.version === version) return resource;
  }
  return undefined;
}

/** Groups of custom kinds are domains; `batch/v1` is Kubernetes' own, and not served here. */
function mayBeCustom(apiVersion: string): boolean {
  return /^[^/]+\.[^/]+\/[^/]+$/.test(apiVersion) && !/^[^/]+\.k8s\.io\//.test(apiVersion);
}

function violationsOf(table: ResourceTable, value: ApiObject): Violation[] {
  const name: unknown = value.metadata?.name;
  if (typeof name !== 'string' || name === '') return [{ path: ['metadata', 'name'], message: 'is required' }];
  const resource = resourceOfKind(table, value.apiVersion, value.kind);
  if (!resource) return [];
  const format = TEXT_FORMATS[resource.nameFormat ?? 'dns-name'];
  if (format && !format.matches(name)) {
    return [{ path: ['metadata', 'name'], message: `${format.wanted}, not ${JSON.stringify(name.slice(0, 80))}` }];
  }
  const whole = structuredClone(value);
  resource.defaults?.(whole);
  const violations = table.check(resource)(whole);
  if (violations.length === 0) violations.push(...(resource.rules?.(whole, undefined) ?? []));
  // What a default was made of is wrong, not the default.
  const written = violations.filter(({ path }) => fieldAt(value, path.map(String)) !== undefined);
  return written.length > 0 ? written : violations;
}
