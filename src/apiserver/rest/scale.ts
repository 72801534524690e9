/** The scale subresource (autoscaling/v1 Scale): how many copies of a workload are wanted, whatever its kind. */
import { ApiError } from '../api-error.ts';
import { type ApiObject, fieldAt } from '../api-object.ts';
import { mapOf } from '../custom/structural-schema.ts';
import { AGE_COLUMN, column, NAME_COLUMN, numberAt, selectorText } from '../kinds/fields.ts';
import type { Column, Resource, ScaleFields } from '../kinds/resource.ts';

export const SCALE_COLUMNS: readonly Column[] = [
  NAME_COLUMN,
  column('Desired', 'Copies that are wanted', (o) => numberAt(o, 'spec', 'replicas'), { type: 'integer' }),
  column('Available', 'Copies that there are', (o) => numberAt(o, 'status', 'replicas'), { type: 'integer' }),
  AGE_COLUMN,
];

export function scaleOf(resource: Resource, object: ApiObject): ApiObject {
  const { replicas, statusReplicas, selector } = resource.scale as ScaleFields;
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const chosen = selector && fieldAt(object, selector);
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, ...(namespace ? { namespace } : {}), uid, resourceVersion, creationTimestamp },
    spec: { replicas: fieldAt(object, replicas) ?? 0 },
    status: {
      replicas: fieldAt(object, statusReplicas) ?? 0,
      // Custom objects have theirs as text.
      selector: typeof chosen === 'string' ? chosen : resource.custom ? '' : selectorText(chosen),
    },
  };
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
  // The version that the client meant, where it named one.
  const resourceVersion = scale.metadata?.resourceVersion || object.metadata.resourceVersion;
  return withValue({ ...object, metadata: { ...object.metadata, resourceVersion } }, replicas, wanted) as ApiObject;
}

/** A copy in which a value stands at a path, whatever its fields are called. */
function withValue(target: unknown, [name = '', ...rest]: readonly string[], value: unknown): Record<string, unknown> {
  const map = mapOf(target);
  return { ...map, [name]: rest.length === 0 ? value : withValue(fieldAt(map, [name]), rest, value) };
}
