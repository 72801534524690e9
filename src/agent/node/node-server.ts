/**
 * What the API server asks of a node, as it asks kubelet: logs and output of containers, commands in them and connections
 * to pods, over TLS, by certificates of administrators alone. Sessions are bounded in number and idle time, and end with their client.
 *
 *   GET /healthz
 *   GET /containerLogs/NAMESPACE/POD/CONTAINER?follow&previous&timestamps&tailLines&sinceSeconds&sinceTime&limitBytes
 *   GET │ POST /exec/NAMESPACE/POD/CONTAINER?command=…&input&output&error&tty      by WebSocket or SPDY/3.1
 *   GET │ POST /attach/NAMESPACE/POD/CONTAINER?input&output&error&tty              likewise
 *   GET │ POST /portForward/NAMESPACE/POD                                          by SPDY/3.1, perhaps in a WebSocket
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { type Duplex, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { SecureContextOptions, TLSSocket } from 'node:tls';
import { ADMINISTRATORS, certifiedUser } from '../../apiserver/access/access.ts';
import type { NativeAddon } from '../../io/native-addon.ts';
import { AgentError, describeError } from '../agent-error.ts';
import { requireTool } from '../command.ts';
import type { PodAccess } from '../pods/pod-access.ts';
import { NodeError } from './node-error.ts';
import { commandOf, logRequestOf, type NodePath, nodePath, remoteOptionsOf } from './node-request.ts';
import { attachClient } from './streams/attach-session.ts';
import { runCommand } from './streams/command-session.ts';
import { PortForward } from './streams/port-forward.ts';
import type { RemoteOptions, RemoteStreams } from './streams/remote-streams.ts';
import { acceptForward, acceptStreams, answerPlainly } from './streams/stream-upgrade.ts';

/** For a handshake, and for a request. */
const HEADERS_MS = 10_000;
/** A command stands in its request's path: more of it than an API server takes. */
const MOST_HEADER_BYTES = 128 * 1024;
const MOST_CONNECTIONS = 1000;
const MOST_SESSIONS = 200;
/** Whose certificates are let in: kubeadm gives its API servers no more than they need, since Kubernetes 1.29. */
const CALLERS: ReadonlySet<string> = new Set([ADMINISTRATORS, 'kubeadm:cluster-admins']);
/** As kubelet's streamingConnectionIdleTimeout. */
const IDLE_MS = 4 * 3600 * 1000;
const PING_MS = 30_000;
/** What is left of a session when all is said. */
const GOODBYE_MS = 10_000;

/** What the server shows, and what it knows its clients by. PEM. */
export interface NodeIdentity {
  key: string;
  certificate: string;
  /** Of the cluster's authority, which signs its clients'. */
  authority: string;
}

export interface NodeServerOptions {
  identity: NodeIdentity;
  pods: PodAccess;
  native: Pick<NativeAddon, 'openPty' | 'resizePty' | 'closeFd'>;
  mostSessions?: number;
  idleMs?: number;
  pingMs?: number;
}

const UPGRADED: ReadonlySet<string> = new Set(['exec', 'attach', 'portForward']);

interface Session {
  activeMs: number;
  ping(): void;
  destroy(): void;
}

/** Never rejects. */
type RunSession = (streams: RemoteStreams, onActivity: () => void) => Promise<void>;

export class NodeServer {
  readonly #options: NodeServerOptions;
  readonly #servers: Server[] = [];
  #identity: NodeIdentity;
  readonly #sessions = new Set<Session>();
  readonly #connections = new Set<Socket>();
  readonly #commands = new Set<Promise<void>>();
  readonly #setsid = requireTool('setsid');
  readonly #timer: NodeJS.Timeout;

  constructor(options: NodeServerOptions) {
    this.#options = options;
    this.#identity = options.identity;
    this.#timer = setInterval(() => this.#lookAfter(), options.pingMs ?? PING_MS);
    this.#timer.unref();
  }

  /** On one address more; resolves with the port. `port` 0: any that is free. */
  listen(address: string, port: number): Promise<number> {
    const tls = { ...contextOf(this.#identity), requestCert: true, rejectUnauthorized: true };
    const timeouts = { handshakeTimeout: HEADERS_MS, headersTimeout: HEADERS_MS, requestTimeout: HEADERS_MS };
    const server = createServer({ ...tls, ...timeouts, maxHeaderSize: MOST_HEADER_BYTES });
    server.maxConnections = MOST_CONNECTIONS;
    server.on('request', (request, response) => void this.#serve(request, response));
    server.on('upgrade', (request, socket, head) => void this.#upgrade(request, socket, head));
    server.on('clientError', (_, socket) => socket.destroy());
    server.on('tlsClientError', () => {});
    // Also those of whom nobody knows yet who they are: close() waits for none of them.
    server.on('connection', (socket: Socket) => {
      this.#connections.add(socket);
      socket.once('close', () => this.#connections.delete(socket));
    });
    server.on('secureConnection', (socket) => {
      socket.setKeepAlive(true, PING_MS);
      socket.setNoDelay(true);
    });
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, address, () => {
        server.off('error', reject);
        server.on('error', () => {});
        this.#servers.push(server);
        resolve((server.address() as AddressInfo).port);
      });
    });
  }

  /** For connections that come from now on. */
  renew(identity: NodeIdentity): void {
    this.#identity = identity;
    for (const server of this.#servers) server.setSecureContext(contextOf(identity));
  }

  /** Sessions end, and the processes of their commands with them, in a second or two. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    const closed = this.#servers.map((server) => new Promise((done) => server.close(done)));
    for (const session of this.#sessions) session.destroy();
    for (const socket of this.#connections) socket.destroy();
    await Promise.all([...closed, ...this.#commands]);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {});
    request.on('error', () => {});
    try {
      const path = this.#admit(request);
      if (UPGRADED.has(path.action)) throw new NodeError(400, 'Upgrade request required');
      if (path.action === 'healthz') response.end('ok');
      else await this.#tellLog(path, response);
    } catch (error) {
      if (response.headersSent) response.destroy();
      else response.writeHead(codeOf(error), { 'content-type': 'text/plain; charset=utf-8' }).end(describeError(error));
    }
  }

  /** Throws NodeError. */
  #admit(request: IncomingMessage): NodePath {
    const user = certifiedUser(request.socket as TLSSocket);
    if (!user?.groups.some((group) => CALLERS.has(group))) {
      throw new NodeError(403, `the user ${user?.name ?? '(unknown)'} is not in the group ${ADMINISTRATORS}`);
    }
    const path = nodePath(request.url);
    if (request.method !== 'GET' && !(request.method === 'POST' && UPGRADED.has(path.action))) {
      throw new NodeError(405, `${request.method} is not served here`);
    }
    return path;
  }

  async #tellLog(path: NodePath, response: ServerResponse): Promise<void> {
    const { pods } = this.#options;
    const log = logRequestOf(path);
    const stop = new AbortController();
    const text = pods.containerLog(log, stop.signal);
    response.once('close', () => stop.abort());
    const session: Session = { activeMs: Infinity, ping: () => {}, destroy: () => response.destroy() };
    this.#begin(session);
    try {
      response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
      response.flushHeaders();
      await pipeline(Readable.from(text, { objectMode: false }), response);
    } finally {
      stop.abort();
      this.#sessions.delete(session);
    }
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => {});
    try {
      const path = this.#admit(request);
      if (!UPGRADED.has(path.action)) throw new NodeError(400, `${path.action} does not take an upgrade`);
      if (path.action === 'portForward') await this.#forward(path, request, socket, head);
      else await this.#join(path, request, socket, head);
    } catch (error) {
      answerPlainly(socket, codeOf(error), describeError(error));
    }
  }

  /** A client's streams with what it asks for. */
  async #join(path: NodePath, request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const options = remoteOptionsOf(path);
    const run = path.action === 'attach' ? this.#attachment(path, options) : this.#command(path, options);
    const session = this.#beginOn(socket);
    const streams = await acceptStreams(request, socket, head, options);
    // A client that went before it had opened its streams.
    if (!streams) return;
    session.ping = () => streams.ping();
    session.destroy = () => streams.destroy();
    const onActivity = () => {
      session.activeMs = Date.now();
    };
    const running = run(streams, onActivity);
    this.#commands.add(running);
    await running;
    this.#commands.delete(running);
    const goodbye = setTimeout(() => streams.destroy(), GOODBYE_MS);
    socket.once('close', () => clearTimeout(goodbye));
    if (socket.destroyed) clearTimeout(goodbye);
  }

  /** A client's connections with a pod's ports. */
  async #forward(path: NodePath, request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const loopback = this.#options.pods.loopback(path);
    const session = this.#beginOn(socket);
    const accepted = await acceptForward(request, socket, head);
    if (!accepted || socket.destroyed) return;
    const onActivity = () => {
      session.activeMs = Date.now();
    };
    const pod = `${path.namespace}/${path.pod}`;
    const forward = new PortForward(accepted.carrier, accepted.head, { pod, loopback, onActivity });
    session.ping = () => forward.ping();
    session.destroy = () => forward.destroy();
  }

  /** Throws NodeError and AgentError. */
  #command(path: NodePath, options: RemoteOptions): RunSession {
    const { pods, native } = this.#options;
    const start = pods.beside(path, commandOf(path));
    const setsid = this.#setsid;
    return (streams, onActivity) => runCommand({ start, options, streams, native, setsid, onActivity });
  }

  /** Throws AgentError. */
  #attachment(path: NodePath, options: RemoteOptions): RunSession {
    const attachment = this.#options.pods.attach(path, options.stdin);
    return (streams, onActivity) => attachClient({ attachment, options, streams, onActivity });
  }

  /** One that ends with its connection. Throws NodeError. */
  #beginOn(socket: Duplex): Session {
    const session: Session = { activeMs: Date.now(), ping: () => {}, destroy: () => socket.destroy() };
    this.#begin(session);
    socket.once('close', () => this.#sessions.delete(session));
    if (socket.destroyed) this.#sessions.delete(session);
    return session;
  }

  /** Throws NodeError. */
  #begin(session: Session): void {
    const { mostSessions = MOST_SESSIONS } = this.#options;
    if (this.#sessions.size >= mostSessions)
      throw new NodeError(429, `more than ${mostSessions} logs, commands and port forwards`);
    this.#sessions.add(session);
  }

  #lookAfter(): void {
    const { idleMs = IDLE_MS } = this.#options;
    const now = Date.now();
    for (const session of this.#sessions) {
      if (now - session.activeMs > idleMs) session.destroy();
      else session.ping();
    }
  }
}

function contextOf({ key, certificate: cert, authority: ca }: NodeIdentity): SecureContextOptions {
  return { key, cert, ca, minVersion: 'TLSv1.2' };
}

/** Of pods and containers that are not as they would have to be, the agent itself says so. */
function codeOf(error: unknown): number {
  if (error instanceof NodeError) return error.code;
  if (error instanceof AgentError) return error.code === 'no-pod' ? 404 : 400;
  return 500;
}
