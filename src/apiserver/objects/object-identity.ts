/** Who an object is, by what a client sent and by the path that it was sent to. */
import { ApiError } from '../api-error.ts';
import { type ApiObject, type ObjectMeta, withoutNulls } from '../api-object.ts';
import { apiVersionOf, type Resource } from '../kinds/resource.ts';
import { checkObjectMeta } from './object-meta.ts';

/** Of names that are made up: none that look alike, no vowels. */
const SUFFIX_LETTERS = 'bcdfghjklmnpqrstvwxz2456789';

/** What the body says of itself agrees with the path; it has a name and a place. */
export function identified(resource: Resource, namespace: string | undefined, written: ApiObject): ApiObject {
  // Of a custom kind a null may be meant.
  const body = resource.custom ? written : withoutNulls(written);
  checkObjectMeta(body, resource.custom !== undefined);
  const apiVersion = apiVersionOf(resource);
  const { kind } = resource;
  if (body.kind !== kind || body.apiVersion !== apiVersion) {
    const said = `${body.apiVersion}/${body.kind}`;
    throw new ApiError('BadRequest', `the object is of kind ${said}, the path is of ${apiVersion}/${kind}`);
  }
  const metadata: ObjectMeta & Record<string, unknown> = { ...body.metadata };
  // As clients write what is not there.
  for (const [field, value] of Object.entries(metadata)) if (value === null) delete metadata[field];
  if (!metadata.name && metadata.generateName) metadata.name = `${metadata.generateName.slice(0, 58)}${suffix()}`;
  if (resource.namespaced) {
    const wanted = namespace ?? metadata.namespace ?? 'default';
    if (metadata.namespace && metadata.namespace !== wanted) {
      const message = `the namespace of the provided object does not match the namespace sent on the request`;
      throw new ApiError('BadRequest', message);
    }
    metadata.namespace = wanted;
  } else delete metadata.namespace;
  delete metadata.managedFields;
  delete metadata.selfLink;
  return { ...body, metadata };
}

function suffix(): string {
  return Array.from({ length: 5 }, () => SUFFIX_LETTERS[Math.floor(Math.random() * SUFFIX_LETTERS.length)]).join('');
}
