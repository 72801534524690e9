/**
 * The agent's status interface: HTTP over a unix socket that only its own user may open. Reads only, but for the
 * probes, which send a few pings.
 *
 *   GET /readyz    200 or 503, with the reason        GET /doctor   the list of checks
 *   GET /status    AgentStatus                        POST /probe   {"host": "NODE or address"} to PeerStatus
 *   GET /services?name=NAME&name=…   ServiceReport[]; all without names
 *   GET /dns/log   the last questions                 POST /dns/explain   {"pod": "POD", "name": "NAME"}
 */
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createConnection } from 'node:net';
import { dirname } from 'node:path';
import type { Explanation } from '../dns/explain.ts';
import type { QueryLogEntry } from '../dns/query-log.ts';
import { AgentError, describeError } from './agent-error.ts';
import type { ServiceReport } from './host/service-report.ts';
import type { AgentStatus, Check, PeerStatus } from './status.ts';

export interface StatusSource {
  /** '' when ready. */
  notReady(): string;
  status(): AgentStatus;
  /** Those called so, `NAME` or `NAMESPACE/NAME`; all without names. */
  services(names: readonly string[]): ServiceReport[];
  doctor(): Promise<Check[]>;
  /** All peers without a host. */
  probe(host: string | undefined): Promise<PeerStatus[]>;
  /** Nothing where no such pod is known. */
  explainName(pod: string, name: string): Promise<Explanation | undefined>;
  /** Nothing where none are kept. */
  dnsLog(): QueryLogEntry[] | undefined;
}

const BODY_BYTES = 4096;

export async function serveStatus(socketPath: string, source: StatusSource): Promise<Server> {
  mkdirSync(dirname(socketPath), { recursive: true, mode: 0o755 });
  if (await isServed(socketPath)) {
    throw new AgentError(
      'agent-runs',
      `another agent answers at ${socketPath}`,
      'stop it first, or give this one another --state-dir',
    );
  }
  rmSync(socketPath, { force: true });
  const server = createServer((request, response) => {
    answer(request, response, source).catch((error) => send(response, 500, { error: describeError(error) }));
  });
  await new Promise<void>((done, fail) => {
    server.once('error', fail);
    server.listen(socketPath, done);
  });
  // Where no file can be opened any more, nobody is answered; packets go on.
  server.on('error', () => {});
  chmodSync(socketPath, 0o600);
  return server;
}

async function answer(request: IncomingMessage, response: ServerResponse, source: StatusSource): Promise<void> {
  const [path, query] = (request.url ?? '/').split('?', 2);
  const route = `${request.method} ${path}`;
  if (route === 'GET /readyz') {
    const why = source.notReady();
    send(response, why ? 503 : 200, { ready: why === '', why });
  } else if (route === 'GET /status') {
    send(response, 200, source.status());
  } else if (route === 'GET /services') {
    send(response, 200, source.services(new URLSearchParams(query).getAll('name')));
  } else if (route === 'GET /doctor') {
    send(response, 200, await source.doctor());
  } else if (route === 'POST /probe') {
    const host = probeHost(await readBody(request));
    if (host === null) return send(response, 400, { error: 'the body must be {"host": "NAME"} or {}' });
    const results = await source.probe(host);
    if (host !== undefined && results.length === 0) return send(response, 404, { error: `no node is called ${host}` });
    send(response, 200, results);
  } else if (route === 'GET /dns/log') {
    const entries = source.dnsLog();
    send(response, 200, entries ?? { error: 'this agent keeps no DNS questions: start it with --dns-log' });
  } else if (route === 'POST /dns/explain') {
    await explain(response, await readBody(request), source);
  } else {
    send(response, 404, { error: `nothing at ${route}` });
  }
}

async function explain(response: ServerResponse, body: string, source: StatusSource): Promise<void> {
  let asked: { pod?: unknown; name?: unknown } = {};
  try {
    asked = JSON.parse(body) as typeof asked;
  } catch {
    // Told below.
  }
  const { pod, name } = asked ?? {};
  if (typeof pod !== 'string' || typeof name !== 'string' || name === '') {
    return send(response, 400, { error: 'the body must be {"pod": "POD", "name": "NAME"}' });
  }
  const explanation = await source.explainName(pod, name);
  if (explanation) send(response, 200, explanation);
  else send(response, 404, { error: `no pod is called ${pod}, or several are: say namespace/name` });
}

/** The host of a probe request; undefined for all; null where it is none. */
function probeHost(body: string): string | undefined | null {
  try {
    const { host } = JSON.parse(body || '{}') as { host?: unknown };
    return host === undefined || typeof host === 'string' ? host : null;
  } catch {
    return null;
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > BODY_BYTES) throw new AgentError('body-too-large', `the body is larger than ${BODY_BYTES} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function send(response: ServerResponse, code: number, value: unknown): void {
  if (response.headersSent) return void response.end();
  response.writeHead(code, { 'content-type': 'application/json', connection: 'close' });
  response.end(`${JSON.stringify(value)}\n`);
}

/** Whether somebody listens at the path; a socket that a killed agent left refuses. */
function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
