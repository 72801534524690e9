/**
 * Who sends a request, and what they may do. Users come by client certificate or bearer token; there are no anonymous
 * ones. Three roles, by group: administrators do everything, viewers read, nodes read and write what is theirs, as
 * Kubernetes' node authorizer has it.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { ApiError } from '../api-error.ts';
import { resourceName } from '../kinds/resource.ts';
import { parseResourcePath, type ResourcePath } from '../rest/api-path.ts';
import type { ApiRequest, User } from '../rest/request.ts';
import { impersonatedUser } from './impersonation.ts';
import { mayNodeWrite } from './node-restriction.ts';

export const ADMINISTRATORS = 'system:masters';
export const VIEWERS = 'weft:viewers';
export const NODES = 'system:nodes';
/** Before the name of a node in the name of its user. */
export const NODE_PREFIX = 'system:node:';

export interface Token {
  token: string;
  user: User;
}

export class Authenticator {
  #tokens: readonly { digest: Buffer; user: User }[] = [];
  readonly #fallback: User | undefined;

  /** `fallback`: who everybody is where requests say nothing of who they are: plain http on loopback alone. */
  constructor(tokens: readonly Token[], fallback?: User) {
    this.replaceTokens(tokens);
    this.#fallback = fallback;
  }

  replaceTokens(tokens: readonly Token[]): void {
    this.#tokens = tokens.map(({ token, user }) => ({ digest: digestOf(token), user }));
  }

  /** Throws ApiError Unauthorized; Forbidden for who would speak for others and may not. */
  userOf(request: IncomingMessage, socket: TLSSocket | undefined): User {
    const known = certifiedUser(socket) ?? this.#bearer(request.headers.authorization);
    const user = known ?? (isOfBrowser(request) ? undefined : this.#fallback);
    if (!user) throw new ApiError('Unauthorized', 'Unauthorized');
    const other = impersonatedUser(request);
    if (!other) return user;
    if (user.groups.includes(ADMINISTRATORS)) return other;
    const message = `User "${user.name}" cannot impersonate resource "users" in API group "" at the cluster scope`;
    throw new ApiError('Forbidden', `users "${other.name}" is forbidden: ${message}`);
  }

  #bearer(header: string | undefined): User | undefined {
    const [, token] = /^Bearer +(\S+)$/i.exec(header ?? '') ?? [];
    if (token === undefined) return undefined;
    const digest = digestOf(token);
    // All are compared, so that the time tells nothing.
    const found = this.#tokens.filter((known) => timingSafeEqual(known.digest, digest));
    if (found[0]) return found[0].user;
    throw new ApiError('Unauthorized', 'the bearer token is not known here');
  }
}

/**
 * Whether it may be the work of a page that somebody has open in a browser: it comes from elsewhere, or has made a name of
 * its own lead to us. Their browser reaches loopback as they do; what it sends is not what they mean.
 */
function isOfBrowser({ headers: { origin, host = '' } }: IncomingMessage): boolean {
  const [, name = ''] = /^\[?([^\]]*?)\]?(?::\d+)?$/.exec(host) ?? [];
  return origin !== undefined || (name !== 'localhost' && isIP(name) === 0);
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

/** Of connections: to read a certificate costs as much as the rest of a small request. */
const certified = new WeakMap<TLSSocket, User>();

/** Of a certificate that our authority signed. */
export function certifiedUser(socket: TLSSocket | undefined): User | undefined {
  if (!socket?.authorized) return undefined;
  const known = certified.get(socket);
  if (known) return known;
  // A resumed session (TLS 1.3) counts as authorized, also where nobody ever showed a certificate in it.
  const { subject } = socket.getPeerCertificate() as unknown as {
    subject?: { CN?: string | string[]; O?: string | string[] };
  };
  const { CN, O = [] } = subject ?? {};
  if (typeof CN !== 'string') return undefined;
  const user = { name: CN, groups: Array.isArray(O) ? O : [O] };
  certified.set(socket, user);
  return user;
}

const READING = new Set(['GET', 'HEAD']);
/** What every user may read, with what stands below: what the server is and which kinds it has. */
export const PUBLIC_PATHS = [
  '/version',
  '/healthz',
  '/livez',
  '/readyz',
  '/api',
  '/apis',
  '/openapi/v2',
  '/openapi/v3',
];
/** What every user may ask, of themselves alone. */
const SELF_REVIEWS = new Set([
  'authentication.k8s.io/selfsubjectreviews',
  'authorization.k8s.io/selfsubjectaccessreviews',
  'authorization.k8s.io/selfsubjectrulesreviews',
]);
/** Beside objects: what runs in a pod is not looked into by who only reads; its logs are no node's business. */
const INNER_PARTS = new Set(['exec', 'attach', 'portforward', 'proxy']);

/** Throws ApiError Forbidden. */
export function authorize(user: User, request: ApiRequest): void {
  const path = parseResourcePath(request.path);
  if (!isAllowed(user, request.method, path ?? request.path)) throw forbidden(user, request, path);
}

/** By the path alone; of a node's writes the objects say more, where they are at hand. */
export function isAllowed(user: User, method: string, path: ResourcePath | string): boolean {
  const { groups } = user;
  if (groups.includes(ADMINISTRATORS)) return true;
  if (typeof path === 'string') {
    if (!READING.has(method)) return false;
    return groups.includes(VIEWERS) || PUBLIC_PATHS.some((open) => path === open || path.startsWith(`${open}/`));
  }
  const { group, plural, subresource } = path;
  if (READING.has(method) && !INNER_PARTS.has(subresource)) {
    if (groups.includes(VIEWERS) || (groups.includes(NODES) && subresource !== 'log')) return true;
  }
  if (method === 'POST' && SELF_REVIEWS.has(`${group}/${plural}`)) return true;
  const node = nodeOf(user);
  return node !== undefined && mayNodeWrite(node, path, method);
}

/** The node that a user is, if it is one and nothing more. */
export function nodeOf(user: User): string | undefined {
  if (user.groups.includes(ADMINISTRATORS) || !user.groups.includes(NODES)) return undefined;
  if (!user.name.startsWith(NODE_PREFIX)) return undefined;
  return user.name.slice(NODE_PREFIX.length) || undefined;
}

function forbidden(user: User, request: ApiRequest, path: ResourcePath | undefined): ApiError {
  const what = path
    ? `resource "${path.plural}${path.subresource ? `/${path.subresource}` : ''}" in API group "${path.group}"`
    : `path "${request.path}"`;
  const where = path?.namespace ? ` in the namespace "${path.namespace}"` : '';
  const verbs = path?.name === '' ? COLLECTION_VERBS : VERBS;
  const message = `User "${user.name}" cannot ${verbs[request.method] ?? request.method} ${what}${where}`;
  if (!path) return new ApiError('Forbidden', message);
  const name = path.name === '' ? '' : ` "${path.name}"`;
  return new ApiError('Forbidden', `${resourceName(path)}${name} is forbidden: ${message}`);
}

const VERBS: Readonly<Record<string, string>> = {
  GET: 'get',
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
};
const COLLECTION_VERBS: typeof VERBS = { ...VERBS, GET: 'list', DELETE: 'deletecollection' };
