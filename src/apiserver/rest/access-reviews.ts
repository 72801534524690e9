/**
 * Who somebody is here and what they may do (authentication.k8s.io, authorization.k8s.io), which `kubectl auth whoami`
 * and `can-i` ask: reviews are answered from the rules that requests are judged by, and never kept. Whoever is known may
 * ask about themselves, administrators about anybody.
 */
import { ADMINISTRATORS, isAllowed, nodeOf, PUBLIC_PATHS } from '../access/access.ts';
import { ApiError } from '../api-error.ts';
import { type ApiObject, fieldAt } from '../api-object.ts';
import { apiVersionOf } from '../kinds/resource.ts';
import type { ResourceTable } from '../kinds/resource-table.ts';
import { REVIEWS, type ReviewKind } from '../kinds/reviews.ts';
import type { ResourcePath } from './api-path.ts';
import { served } from './discovery.ts';
import { type ApiAnswer, type ApiRequest, readObject, type User } from './request.ts';

const STATUS: Readonly<
  Record<ReviewKind['kind'], (user: User, spec: unknown, table: ResourceTable) => Record<string, unknown>>
> = {
  SelfSubjectAccessReview: (user, spec) => ({ allowed: isGranted(user, spec) }),
  SelfSubjectReview: ({ name, groups }) => ({ userInfo: { username: name, groups } }),
  SelfSubjectRulesReview: (user, spec, table) => rulesOf(user, textAt(spec, 'namespace'), table),
  SubjectAccessReview: (_, spec) => ({ allowed: isGranted(subjectOf(spec), spec) }),
};

export function reviewAt(path: ResourcePath): ReviewKind | undefined {
  if (path.namespace !== undefined || path.name !== '') return undefined;
  const { group, version, plural } = path;
  return REVIEWS.find((one) => one.group === group && one.version === version && one.plural === plural);
}

/** Throws ApiError. */
export async function answerReview(request: ApiRequest, review: ReviewKind, table: ResourceTable): Promise<ApiAnswer> {
  if (request.method !== 'POST') throw new ApiError('MethodNotAllowed', `${review.plural} are created, and not kept`);
  const { metadata = {}, spec } = (await readObject(request)) as Partial<ApiObject>;
  const status = STATUS[review.kind](request.user, spec ?? {}, table);
  return { code: 201, json: { kind: review.kind, apiVersion: apiVersionOf(review), metadata, spec, status } };
}

/** What verbs are on the wire. */
const METHODS: ReadonlyMap<string, string> = new Map([
  ['get', 'GET'],
  ['list', 'GET'],
  ['watch', 'GET'],
  ['create', 'POST'],
  ['update', 'PUT'],
  ['patch', 'PATCH'],
  ['delete', 'DELETE'],
  ['deletecollection', 'DELETE'],
]);
const ALL = '*';

/** Throws ApiError BadRequest. */
function isGranted(user: User, spec: unknown): boolean {
  const [resource, path] = [fieldAt(spec, ['resourceAttributes']), fieldAt(spec, ['nonResourceAttributes'])];
  if (isThere(resource) === isThere(path)) {
    throw new ApiError('BadRequest', 'spec: must have one of resourceAttributes and nonResourceAttributes');
  }
  const verb = textAt(resource ?? path, 'verb');
  if (isThere(path)) return isAllowed(user, verb.toUpperCase(), textAt(path, 'path'));
  const [group, plural, subresource] = [
    textAt(resource, 'group'),
    textAt(resource, 'resource'),
    textAt(resource, 'subresource'),
  ];
  const [version, name, namespace] = [
    textAt(resource, 'version'),
    textAt(resource, 'name'),
    textAt(resource, 'namespace'),
  ];
  const method = METHODS.get(verb);
  // All of something is only for who may do everything, and so are verbs that no request has.
  if (!method || [group, plural, subresource].includes(ALL)) return user.groups.includes(ADMINISTRATORS);
  return isAllowed(user, method, { group, version, plural, subresource, namespace: namespace || undefined, name });
}

function isThere(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** Throws ApiError BadRequest. */
function textAt(object: unknown, field: string): string {
  const value = fieldAt(object, [field]) ?? '';
  if (typeof value === 'string') return value;
  throw new ApiError('BadRequest', `spec: ${field} is not a string`);
}

/** Throws ApiError BadRequest. */
function subjectOf(spec: unknown): User {
  const name = textAt(spec, 'user');
  const groups = fieldAt(spec, ['groups']) ?? [];
  if (!Array.isArray(groups) || !groups.every((group) => typeof group === 'string')) {
    throw new ApiError('BadRequest', 'spec.groups: is not a list of strings');
  }
  if (name === '' && groups.length === 0) throw new ApiError('BadRequest', 'spec.user: name a user or groups');
  return { name, groups };
}

/** authorization/v1 SubjectRulesReviewStatus: kinds of one group together where the same may be done to them. */
function rulesOf(user: User, namespace: string, table: ResourceTable): Record<string, unknown> {
  if (user.groups.includes(ADMINISTRATORS)) {
    return {
      resourceRules: [{ verbs: [ALL], apiGroups: [ALL], resources: [ALL] }],
      nonResourceRules: [{ verbs: [ALL], nonResourceURLs: [ALL] }],
      incomplete: false,
    };
  }
  const rules = new Map<string, { verbs: string[]; apiGroups: string[]; resources: string[] }>();
  for (const { group, version, entry } of served(table)) {
    const [plural = '', subresource = ''] = entry.name.split('/');
    const path = { group, version, plural, subresource, namespace: namespace || undefined, name: '' };
    const verbs = entry.verbs.filter((verb) => isAllowed(user, METHODS.get(verb) ?? '', path));
    if (verbs.length === 0) continue;
    const key = `${group} ${verbs}`;
    const rule = rules.get(key) ?? { verbs, apiGroups: [group], resources: [] };
    rules.set(key, rule);
    // Once, whatever versions it has.
    if (!rule.resources.includes(entry.name)) rule.resources.push(entry.name);
  }
  const everyPath = isAllowed(user, 'GET', '/');
  const isNode = nodeOf(user) !== undefined;
  return {
    resourceRules: [...rules.values()],
    nonResourceRules: [
      { verbs: ['get'], nonResourceURLs: everyPath ? [ALL] : PUBLIC_PATHS.flatMap((path) => [path, `${path}/*`]) },
    ],
    incomplete: isNode,
    ...(isNode ? { evaluationError: 'what a node may write depends on the object' } : {}),
  };
}
