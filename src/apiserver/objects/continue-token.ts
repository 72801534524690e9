/** Where a list goes on that was read in part: the next key, and the revision that all its pages are of. */
import { ApiError } from '../api-error.ts';
import { type Resource, resourceName, storePrefix } from '../kinds/resource.ts';

export interface Continue {
  from: string;
  revision: number;
}

export function writeContinue(from: string, revision: number, resource: Resource): string {
  return Buffer.from(JSON.stringify([resourceName(resource), revision, from])).toString('base64url');
}

/** Of a list of this kind, in this namespace where it is of one. Throws ApiError BadRequest. */
export function readContinue(text: string, resource: Resource, namespace: string | undefined): Continue {
  try {
    const [kind, revision, from] = JSON.parse(Buffer.from(text, 'base64url').toString('utf8')) as unknown[];
    const inRange = typeof from === 'string' && from.startsWith(storePrefix(resource, namespace));
    const ofThePast = Number.isSafeInteger(revision) && (revision as number) > 0;
    if (kind === resourceName(resource) && ofThePast && inRange) return { from, revision: revision as number };
  } catch {
    // Said below.
  }
  throw new ApiError('BadRequest', 'the continue token is not one that this server gave for this list');
}
