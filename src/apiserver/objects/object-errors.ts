/** What can be wrong with a request for one object, in the words that Kubernetes has for it. */
import { formatPath, type Violation } from '../../kube/violation.ts';
import { ApiError } from '../api-error.ts';
import type { ApiObject } from '../api-object.ts';
import { type Resource, resourceName } from '../kinds/resource.ts';

/** Where an object stands. */
export interface ObjectPlace {
  resource: Resource;
  /** Undefined for kinds without namespaces. */
  namespace: string | undefined;
  name: string;
}

/** What a deletion wants to find. */
export interface Preconditions {
  uid?: string;
  resourceVersion?: string;
}

function detailsOf({ resource, name }: { resource: Resource; name: string }) {
  return { name, ...(resource.group ? { group: resource.group } : {}), kind: resource.plural };
}

export function notFound(place: ObjectPlace): ApiError {
  return new ApiError('NotFound', `${resourceName(place.resource)} "${place.name}" not found`, detailsOf(place));
}

export function alreadyExists(place: ObjectPlace): ApiError {
  return new ApiError(
    'AlreadyExists',
    `${resourceName(place.resource)} "${place.name}" already exists`,
    detailsOf(place),
  );
}

export function conflict(place: ObjectPlace): ApiError {
  const what = `Operation cannot be fulfilled on ${resourceName(place.resource)} "${place.name}"`;
  const why = 'the object has been modified; please apply your changes to the latest version and try again';
  return new ApiError('Conflict', `${what}: ${why}`, detailsOf(place));
}

export function checkPreconditions(place: ObjectPlace, current: ApiObject, wanted: Preconditions | undefined): void {
  const { uid, resourceVersion } = current.metadata;
  if (wanted?.uid !== undefined && wanted.uid !== uid) throw conflict(place);
  if (wanted?.resourceVersion !== undefined && wanted.resourceVersion !== resourceVersion) throw conflict(place);
}

/** 422 with a cause for each field, as kubectl prints them. */
export function invalid(resource: Resource, name: string, violations: readonly Violation[]): ApiError {
  const causes = violations.map(({ path, message }) => ({
    reason: 'FieldValueInvalid',
    message,
    field: formatPath(path),
  }));
  const all = causes.map(({ field, message }) => `${field}: ${message}`);
  const text = all.length === 1 ? all[0] : `[${all.join(', ')}]`;
  const kind = resource.group ? `${resource.kind}.${resource.group}` : resource.kind;
  return new ApiError('Invalid', `${kind} "${name ?? ''}" is invalid: ${text}`, {
    name: name ?? '',
    kind: resource.kind,
    ...(resource.group ? { group: resource.group } : {}),
    causes,
  });
}
