/**
 * The API server as a client of nodes: requests to a node's server, over TLS with the API server's own certificate.
 * The node must show that it is the one: a certificate of our authority with its name. Nothing waits for a node that
 * does not answer.
 */
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import type { Socket } from 'node:net';
import type { PeerCertificate } from 'node:tls';
import { NODE_PREFIX } from '../access/access.ts';
import { ApiError, type StatusReason } from '../api-error.ts';

/** Until the first bytes of its answer. */
const ANSWER_MS = 4000;
const MOST_MESSAGE_BYTES = 4096;

/** How the API server shows nodes who it is. PEM. */
export interface NodeIdentity {
  key: string;
  certificate: string;
  /** What nodes' certificates are signed by. */
  authority: string;
}

export interface NodeAddress {
  node: string;
  host: string;
  port: number;
}

export interface NodeRequest {
  method: string;
  /** With its query. */
  path: string;
  headers: Readonly<Record<string, string | string[]>>;
}

/** A connection that changed protocols, with what the node said to that. */
export interface NodeConnection {
  socket: Socket;
  /** What came behind the answer. */
  head: Buffer;
  answer: IncomingMessage;
}

export class NodeClient {
  readonly #identity: NodeIdentity;
  readonly #answerMs: number;

  constructor(identity: NodeIdentity, answerMs = ANSWER_MS) {
    this.#identity = identity;
    this.#answerMs = answerMs;
  }

  /** The answer with its body unread. Throws ApiError for any other than 200. */
  async read(at: NodeAddress, path: string): Promise<IncomingMessage> {
    const reply = await this.#ask(at, { method: 'GET', path, headers: {} });
    if (!('socket' in reply) && reply.answer.statusCode === 200) return reply.answer;
    throw await this.#refusal(at, reply);
  }

  /** Throws ApiError where the node does not change protocols. */
  async upgrade(at: NodeAddress, asked: NodeRequest): Promise<NodeConnection> {
    const reply = await this.#ask(at, asked);
    if ('socket' in reply) return reply;
    throw await this.#refusal(at, reply);
  }

  #ask(at: NodeAddress, asked: NodeRequest): Promise<NodeConnection | { answer: IncomingMessage }> {
    const { key, certificate: cert, authority: ca } = this.#identity;
    const { node, host, port } = at;
    return new Promise((resolve, reject) => {
      const outgoing = request({
        ...asked,
        ...{ host, port, key, cert, ca },
        agent: false,
        minVersion: 'TLSv1.2',
        checkServerIdentity: (_: string, shown: PeerCertificate) => identityProblem(node, shown),
      });
      const unreachable = (why: string) =>
        new ApiError('ServiceUnavailable', `node "${node}" does not answer at ${host} port ${port}: ${why}`);
      const timer = setTimeout(() => {
        outgoing.destroy(unreachable(`nothing came in ${this.#answerMs} ms`));
      }, this.#answerMs);
      outgoing.on('error', (error) => {
        clearTimeout(timer);
        reject(error instanceof ApiError ? error : unreachable(error.message));
      });
      outgoing.once('response', (answer) => {
        clearTimeout(timer);
        resolve({ answer });
      });
      outgoing.once('upgrade', (answer, socket, head) => {
        clearTimeout(timer);
        resolve({ answer, socket, head });
      });
      outgoing.end();
    });
  }

  /** What a node says instead of doing it, in a few words of its own. */
  async #refusal({ node }: NodeAddress, reply: { answer: IncomingMessage; socket?: Socket }): Promise<ApiError> {
    const { answer, socket } = reply;
    socket?.destroy();
    const timer = setTimeout(() => answer.destroy(), this.#answerMs);
    let message = '';
    try {
      for await (const chunk of answer.setEncoding('utf8')) {
        message += chunk;
        if (message.length > MOST_MESSAGE_BYTES) break;
      }
    } catch {
      // It broke off: what came is told.
    }
    clearTimeout(timer);
    const text = message.slice(0, MOST_MESSAGE_BYTES).trim();
    const reason = REASONS.get(answer.statusCode ?? 0);
    if (reason) return new ApiError(reason, text);
    return new ApiError('InternalError', `node "${node}" answered ${answer.statusCode}: ${text}`);
  }
}

/** What is the client's matter; of all else the server has to be looked after. */
const REASONS: ReadonlyMap<number, StatusReason> = new Map([
  [400, 'BadRequest'],
  [404, 'NotFound'],
  [429, 'TooManyRequests'],
]);

/** A certificate that our authority signed may be another node's, or a user's. */
function identityProblem(node: string, shown: PeerCertificate): Error | undefined {
  const name = shown.subject?.CN;
  if (name === `${NODE_PREFIX}${node}`) return undefined;
  return new Error(`its certificate is of ${String(name).slice(0, 100)}`);
}
