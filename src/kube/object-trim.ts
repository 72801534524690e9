/**
 * What is kept of an object that an API server told: of ten thousand pods elsewhere the little that the network asks
 * for, of our own pods and our own Node everything but bookkeeping. What is left out changes nothing when it changes:
 * a heartbeat of another node is no news.
 */
import { isJsonObject, type JsonObject, withoutNulls } from './json-value.ts';
import type { KubeKind } from './objects.ts';

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
/** Who reads annotations of objects elsewhere: the network's own, and flannel's of its nodes. */
const NETWORK_ANNOTATION = /^(weft\.dev|flannel\.alpha\.coreos\.com)\//;

/** As an object of a kind, not yet validated. `node`: whose pods and Node are kept whole. */
export function trimmed(kind: KubeKind, apiVersion: string, raw: JsonObject, node: string): JsonObject {
  const whole = { ...raw, apiVersion, kind };
  if (kind === 'Pod' && fieldOf(raw.spec, 'nodeName') !== node) return withoutNulls(foreignPod(whole)) as JsonObject;
  if (kind === 'Node' && fieldOf(raw.metadata, 'name') !== node) return withoutNulls(foreignNode(whole)) as JsonObject;
  const isOwn = kind === 'Pod' || kind === 'Node';
  return withoutNulls({ ...whole, metadata: ownMetadata(raw.metadata, isOwn) }) as JsonObject;
}

/** `versioned`: whoever writes to it must say which version is meant. */
function ownMetadata(metadata: unknown, versioned: boolean): unknown {
  if (!isJsonObject(metadata)) return metadata;
  const { managedFields: _, resourceVersion, annotations, ...rest } = metadata;
  const own = isJsonObject(annotations) ? without(annotations, LAST_APPLIED) : annotations;
  return { ...rest, ...(own === undefined ? {} : { annotations: own }), ...(versioned ? { resourceVersion } : {}) };
}

function foreignPod({ apiVersion, kind, metadata, spec, status }: JsonObject): JsonObject {
  const containers = fieldOf(spec, 'containers');
  return {
    apiVersion,
    kind,
    metadata: foreignMetadata(metadata, ['name', 'namespace', 'uid', 'labels', 'deletionTimestamp']),
    spec: isJsonObject(spec)
      ? {
          ...pick(spec, ['nodeName', 'hostNetwork', 'hostname', 'subdomain']),
          containers: Array.isArray(containers)
            ? containers.map((c) => (isJsonObject(c) ? pick(c, ['name']) : c))
            : containers,
        }
      : spec,
    status: isJsonObject(status)
      ? { ...pick(status, ['podIP', 'podIPs', 'phase']), conditions: readiness(status.conditions) }
      : status,
  };
}

function foreignNode({ apiVersion, kind, metadata, spec, status }: JsonObject): JsonObject {
  return {
    apiVersion,
    kind,
    metadata: foreignMetadata(metadata, ['name', 'uid', 'labels']),
    spec: isJsonObject(spec) ? pick(spec, ['podCIDR', 'podCIDRs']) : spec,
    status: isJsonObject(status)
      ? { ...pick(status, ['addresses']), conditions: readiness(status.conditions) }
      : status,
  };
}

function foreignMetadata(metadata: unknown, fields: readonly string[]): unknown {
  if (!isJsonObject(metadata)) return metadata;
  const { annotations } = metadata;
  if (!isJsonObject(annotations)) return pick(metadata, fields);
  const own = Object.entries(annotations).filter(([name]) => NETWORK_ANNOTATION.test(name));
  return { ...pick(metadata, fields), ...(own.length > 0 ? { annotations: Object.fromEntries(own) } : {}) };
}

/** Of a list of conditions the one that says ready, without when and why. */
function readiness(conditions: unknown): unknown {
  if (!Array.isArray(conditions)) return conditions;
  return conditions.filter((c) => fieldOf(c, 'type') === 'Ready').map((c: JsonObject) => pick(c, ['type', 'status']));
}

function pick(object: JsonObject, fields: readonly string[]): JsonObject {
  const out: JsonObject = {};
  for (const field of fields) if (object[field] !== undefined && object[field] !== null) out[field] = object[field];
  return out;
}

function without(object: JsonObject, field: string): JsonObject {
  const { [field]: _, ...rest } = object;
  return rest;
}

export function fieldOf(value: unknown, field: string): unknown {
  return isJsonObject(value) && Object.hasOwn(value, field) ? value[field] : undefined;
}
