/**
 * Whether what every object has is of the right types, whatever its kind (meta/v1 ObjectMeta): everything after relies
 * on it. Owners and finalizers have rules of their own, in metadata-rules.ts.
 */
import { ApiError } from '../api-error.ts';
import type { ApiObject } from '../api-object.ts';

type Fits = (value: unknown) => boolean;

const isText: Fits = (value) => typeof value === 'string';
const isMap: Fits = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const isTextMap: Fits = (value) => isMap(value) && Object.values(value as object).every(isText);
const OWN_PARTS = ['metadata', 'spec', 'status'] as const;
const FIELDS: Readonly<Record<string, readonly [Fits, string]>> = {
  name: [isText, 'a string'],
  generateName: [isText, 'a string'],
  namespace: [isText, 'a string'],
  uid: [isText, 'a string'],
  resourceVersion: [isText, 'a string'],
  creationTimestamp: [isText, 'a string'],
  deletionTimestamp: [isText, 'a string'],
  generation: [Number.isInteger, 'an integer'],
  deletionGracePeriodSeconds: [Number.isInteger, 'an integer'],
  labels: [isTextMap, 'a map of strings'],
  annotations: [isTextMap, 'a map of strings'],
};

/** Fields that are null are as if they were not there. Throws ApiError BadRequest. */
export function checkObjectMeta(object: ApiObject, custom: boolean): void {
  // What spec and status of a custom kind are its schema says.
  for (const part of custom ? OWN_PARTS.slice(0, 1) : OWN_PARTS) {
    const value: unknown = object[part];
    if (value === null) delete object[part];
    else if (value !== undefined && !isMap(value)) throw wrong(part, 'a map');
  }
  const metadata = (object.metadata ?? {}) as unknown as Record<string, unknown>;
  for (const [field, [fits, wanted]] of Object.entries(FIELDS)) {
    const value = metadata[field];
    if (value === null) delete metadata[field];
    else if (value !== undefined && !fits(value)) throw wrong(`metadata.${field}`, wanted);
  }
}

function wrong(field: string, wanted: string): ApiError {
  return new ApiError('BadRequest', `the object cannot be read: ${field} must be ${wanted}`);
}
