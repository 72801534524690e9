/**
 * The parts of a pod that its node answers: `log`, `exec`, `attach` and `portforward`. The server looks for the pod's
 * node, asks that, and passes on what comes; a connection that changes protocols goes through untouched.
 */
import { ApiError } from '../api-error.ts';
import { type ApiObject, fieldAt } from '../api-object.ts';
import type { ResourceTable } from '../kinds/resource-table.ts';
import type { ObjectStore } from '../objects/object-store.ts';
import { type NodeAddress, NodeClient, type NodeIdentity } from './node-client.ts';
import { type ApiAnswer, type ApiRequest, isTrue, numberOf } from './request.ts';

/** kubectl's word for the container that is meant where none is named. */
const DEFAULT_CONTAINER = 'kubectl.kubernetes.io/default-container';

export interface NodePartsOptions {
  objects: Pick<ObjectStore, 'get'>;
  table: ResourceTable;
  /** Undefined: this server has no certificate that nodes could know it by. */
  identity: NodeIdentity | undefined;
}

export class NodeParts {
  readonly #objects: Pick<ObjectStore, 'get'>;
  readonly #table: ResourceTable;
  readonly #client: NodeClient | undefined;

  constructor({ objects, table, identity }: NodePartsOptions) {
    this.#objects = objects;
    this.#table = table;
    this.#client = identity && new NodeClient(identity);
  }

  /** Throws ApiError, within seconds where the node does not answer. */
  async answer(request: ApiRequest, part: string, pod: ApiObject): Promise<ApiAnswer> {
    if (!this.#client) {
      const why = 'this server has no certificate to show to nodes, since it was started with --plain-http';
      throw new ApiError('ServiceUnavailable', `${part} is not served: ${why}`);
    }
    if (part === 'log') return this.#log(this.#client, request, pod);
    return this.#join(this.#client, request, part, pod);
  }

  async #log(client: NodeClient, request: ApiRequest, pod: ApiObject): Promise<ApiAnswer> {
    if (request.method !== 'GET') throw new ApiError('MethodNotAllowed', `${request.method} does not read a log`);
    const query = logQuery(request.query);
    const path = `/containerLogs/${placeOf(pod, containerOf(pod, request.query.get('container')))}?${query}`;
    const stream = await client.read(await this.#nodeOf(pod), path);
    return { code: 200, stream, contentType: 'text/plain' };
  }

  /** The client's connection with the node's. */
  async #join(client: NodeClient, request: ApiRequest, part: string, pod: ApiObject): Promise<ApiAnswer> {
    const { method, upgrade, query } = request;
    if (method !== 'GET' && method !== 'POST') throw new ApiError('MethodNotAllowed', `${method} does not ${part}`);
    const path = part === 'portforward' ? `/portForward/${placeOf(pod)}` : commandPath(part, query, pod);
    if (!upgrade) throw new ApiError('BadRequest', 'Upgrade request required');
    const { socket, head, answer } = await client.upgrade(await this.#nodeOf(pod), { method, path, headers: upgrade });
    return { code: 101, upgraded: { socket, head, rawHeaders: answer.rawHeaders } };
  }

  async #nodeOf(pod: ApiObject): Promise<NodeAddress> {
    const node = fieldAt(pod, ['spec', 'nodeName']);
    if (typeof node !== 'string' || node === '') {
      throw new ApiError('BadRequest', `pod ${pod.metadata.name} does not have a host assigned`);
    }
    const resource = this.#table.find('', 'v1', 'nodes');
    if (!resource) throw new ApiError('InternalError', 'nodes are not known here');
    const object = await this.#objects.get({ resource, namespace: undefined, name: node });
    const addresses = (fieldAt(object, ['status', 'addresses']) ?? []) as { type: string; address: string }[];
    const host = addresses.find(({ type }) => type === 'InternalIP')?.address;
    const port = fieldAt(object, ['status', 'daemonEndpoints', 'kubeletEndpoint', 'Port']);
    if (host !== undefined && typeof port === 'number') return { node, host, port };
    const missing =
      host === undefined ? 'addresses names no InternalIP' : 'daemonEndpoints names no kubeletEndpoint.Port';
    throw new ApiError(
      'ServiceUnavailable',
      `node "${node}" serves no logs, commands and port forwards: status.${missing}`,
    );
  }
}

/** In the pod, or in a container of it. */
function placeOf({ metadata }: ApiObject, ...container: string[]): string {
  return [metadata.namespace ?? '', metadata.name, ...container].map(encodeURIComponent).join('/');
}

/** What `exec` and `attach` ask of kubelet. Throws ApiError BadRequest. */
function commandPath(part: string, asked: URLSearchParams, pod: ApiObject): string {
  const query = streamQuery(asked);
  if (part === 'exec') for (const word of commandOf(asked)) query.append('command', word);
  return `/${part}/${placeOf(pod, containerOf(pod, asked.get('container')))}?${query}`;
}

/** As kubelet and kubectl choose one. Throws ApiError BadRequest. */
function containerOf(pod: ApiObject, named: string | null): string {
  const namesAt = (field: string) =>
    ((fieldAt(pod, ['spec', field]) ?? []) as { name: string }[]).map(({ name }) => name);
  const containers = namesAt('containers');
  const initContainers = namesAt('initContainers');
  const { name, annotations } = pod.metadata;
  const wanted = named || annotations?.[DEFAULT_CONTAINER] || '';
  if (wanted !== '') {
    if (containers.includes(wanted) || initContainers.includes(wanted)) return wanted;
    if (named) throw new ApiError('BadRequest', `container ${wanted} is not valid for pod ${name}`);
  }
  const [only, ...others] = containers;
  if (only !== undefined && others.length === 0) return only;
  const inits = initContainers.length > 0 ? ` or one of the init containers: [${initContainers.join(' ')}]` : '';
  const choice = `choose one of: [${containers.join(' ')}]${inits}`;
  throw new ApiError('BadRequest', `a container name must be specified for pod ${name}, ${choice}`);
}

/** core/v1 PodLogOptions. */
function logQuery(asked: URLSearchParams): URLSearchParams {
  const query = new URLSearchParams();
  for (const name of ['follow', 'previous', 'timestamps']) if (isTrue(asked.get(name))) query.set(name, 'true');
  for (const [name, least] of [
    ['tailLines', 0],
    ['sinceSeconds', 1],
    ['limitBytes', 1],
  ] as const) {
    const value = numberOf(asked, name);
    if (value === undefined) continue;
    if (value < least) throw new ApiError('BadRequest', `${name}: must be at least ${least}, not ${value}`);
    query.set(name, `${value}`);
  }
  const sinceTime = asked.get('sinceTime');
  if (!sinceTime) return query;
  if (query.has('sinceSeconds')) {
    throw new ApiError('BadRequest', 'at most one of `sinceTime` or `sinceSeconds` may be specified');
  }
  if (Number.isNaN(Date.parse(sinceTime))) throw new ApiError('BadRequest', 'sinceTime: is no time (RFC 3339)');
  query.set('sinceTime', sinceTime);
  return query;
}

/** Of core/v1 PodExecOptions and PodAttachOptions, in kubelet's words. */
function streamQuery(asked: URLSearchParams): URLSearchParams {
  const query = new URLSearchParams();
  for (const [name, own] of [
    ['stdin', 'input'],
    ['stdout', 'output'],
    ['stderr', 'error'],
    ['tty', 'tty'],
  ] as const) {
    if (isTrue(asked.get(name))) query.set(own, '1');
  }
  if (!query.has('input') && !query.has('output') && !query.has('error')) {
    throw new ApiError('BadRequest', 'you must specify at least 1 of stdin, stdout, stderr');
  }
  return query;
}

function commandOf(asked: URLSearchParams): string[] {
  const command = asked.getAll('command');
  if (command.length === 0 || command[0] === '') throw new ApiError('BadRequest', 'you must specify a command');
  return command;
}
