/**
 * Who sends a request, and what they may do. Users come by client certificate or bearer token; there are no anonymous
 * ones. Three roles, by group: administrators do everything, viewers read, nodes read and write what is theirs, as
 * Kubernetes' node authorizer has it.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { ApiError } from './api-error.ts';
import { parseResourcePath, type ResourcePath } from './api-path.ts';
import type { ApiRequest, User } from './request.ts';

export const ADMINISTRATORS = 'system:masters';
export const VIEWERS = 'weft:viewers';
export const NODES = 'system:nodes';
/** Before the name of a node in the name of its user. */
export const NODE_PREFIX = 'system:node:';
/** Where nodes keep their Leases. */
export const LEASE_NAMESPACE = 'kube-node-lease';

export interface Token {
  token: string;
  user: User;
}

export class Authenticator {
  readonly #tokens: readonly { digest: Buffer; user: User }[];
  readonly #fallback: User | undefined;

  /** `fallback`: who everybody is where requests say nothing of who they are: plain http on loopback alone. */
  constructor(tokens: readonly Token[], fallback?: User) {
    this.#tokens = tokens.map(({ token, user }) => ({ digest: digestOf(token), user }));
    this.#fallback = fallback;
  }

  /** Throws ApiError Unauthorized. */
  userOf(request: IncomingMessage, socket: TLSSocket | undefined): User {
    const user = certifiedUser(socket) ?? this.#bearer(request.headers.authorization) ?? this.#fallback;
    if (user) return user;
    throw new ApiError('Unauthorized', 'Unauthorized');
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

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

/** Of a certificate that our authority signed. */
function certifiedUser(socket: TLSSocket | undefined): User | undefined {
  if (!socket?.authorized) return undefined;
  const { CN, O = [] } = socket.getPeerCertificate().subject as unknown as { CN?: string; O?: string | string[] };
  return typeof CN === 'string' ? { name: CN, groups: Array.isArray(O) ? O : [O] } : undefined;
}

const READING = new Set(['GET', 'HEAD']);

/** Throws ApiError Forbidden. */
export function authorize(user: User, request: ApiRequest): void {
  if (user.groups.includes(ADMINISTRATORS)) return;
  const path = parseResourcePath(request.path);
  const reads = READING.has(request.method);
  if (reads && (user.groups.includes(VIEWERS) || user.groups.includes(NODES))) {
    // Beside objects: what runs in a pod may not be looked into by who only reads.
    if (path?.subresource !== 'exec' && path?.subresource !== 'attach' && path?.subresource !== 'portforward') return;
  }
  if (user.groups.includes(NODES) && user.name.startsWith(NODE_PREFIX) && path) {
    if (isOfNode(user.name.slice(NODE_PREFIX.length), path, request.method)) return;
  }
  throw forbidden(user, request, path);
}

/**
 * What a node may write by its path alone. Whether a pod is its own stands in the pod: see nodeMayChange.
 */
function isOfNode(node: string, path: ResourcePath, method: string): boolean {
  const { group, plural, name, subresource, namespace } = path;
  const own = name === node || (method === 'POST' && name === '');
  if (group === '' && plural === 'nodes') return own && method !== 'DELETE';
  if (group === 'coordination.k8s.io' && plural === 'leases') return own && namespace === LEASE_NAMESPACE;
  if (group === '' && plural === 'events') return method === 'POST' || method === 'PATCH' || method === 'PUT';
  if (group === '' && plural === 'pods') return subresource === 'status' || (method === 'DELETE' && name !== '');
  return false;
}

/** The node that a user is, if it is one and nothing more. */
export function nodeOf(user: User): string | undefined {
  if (user.groups.includes(ADMINISTRATORS) || !user.groups.includes(NODES)) return undefined;
  return user.name.startsWith(NODE_PREFIX) ? user.name.slice(NODE_PREFIX.length) : undefined;
}

function forbidden(user: User, request: ApiRequest, path: ResourcePath | undefined): ApiError {
  const what = path
    ? `resource "${path.plural}${path.subresource ? `/${path.subresource}` : ''}" in API group "${path.group}"`
    : `path "${request.path}"`;
  const where = path?.namespace ? ` in the namespace "${path.namespace}"` : '';
  const message = `User "${user.name}" cannot ${VERBS[request.method] ?? request.method} ${what}${where}`;
  return new ApiError('Forbidden', path ? `${path.plural} is forbidden: ${message}` : message);
}

const VERBS: Readonly<Record<string, string>> = {
  GET: 'get',
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
};
