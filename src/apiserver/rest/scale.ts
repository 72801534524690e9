/** The scale subresource (autoscaling/v1 Scale): how many copies of a workload are wanted, whatever its kind. */
import { ApiError } from '../api-error.ts';
import { type ApiObject, fieldAt } from '../api-object.ts';
import type { Resource, ScaleFields } from '../kinds/resource.ts';

export function scaleOf(resource: Resource, object: ApiObject): ApiObject {
  const { replicas, statusReplicas, selector } = resource.scale as ScaleFields;
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, ...(namespace ? { namespace } : {}), uid, resourceVersion, creationTimestamp },
    spec: { replicas: fieldAt(object, replicas) ?? 0 },
    status: {
      replicas: fieldAt(object, statusReplicas) ?? 0,
      selector: selectorText(fieldAt(object, selector)),
    },
  };
}

/** Custom objects may have theirs as text. */
function selectorText(selector: unknown): string {
  if (typeof selector === 'string') return selector;
  const labels = (fieldAt(selector, ['matchLabels']) ?? {}) as Record<string, string>;
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
}

/** The object with the replicas that a Scale wants. Throws ApiError Invalid. */
export function scaled(resource: Resource, object: ApiObject, scale: ApiObject): ApiObject {
  const { replicas } = resource.scale as ScaleFields;
  const wanted = fieldAt(scale, ['spec', 'replicas']) ?? 0;
  if (!Number.isInteger(wanted) || (wanted as number) < 0) {
    const message = `must be a whole number of 0 or more, not ${JSON.stringify(wanted)}`;
    throw new ApiError('Invalid', `Scale "${object.metadata.name}" is invalid: spec.replicas: ${message}`, {
      name: object.metadata.name,
      kind: 'Scale',
      causes: [{ reason: 'FieldValueInvalid', message, field: 'spec.replicas' }],
    });
  }
  const next = structuredClone(object);
  let at = next as Record<string, unknown>;
  for (const name of replicas.slice(0, -1)) {
    at[name] ??= {};
    at = at[name] as Record<string, unknown>;
  }
  at[replicas.at(-1) as string] = wanted;
  // The version that the client meant, where it named one.
  next.metadata.resourceVersion = scale.metadata?.resourceVersion || object.metadata.resourceVersion;
  return next;
}
