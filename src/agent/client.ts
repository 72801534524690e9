/**
 * Asks an agent over its unix socket. For the command line and the lab: nothing of the agent itself is loaded.
 */
import { request } from 'node:http';
import type { Explanation } from '../dns/explain.ts';
import type { QueryLogEntry } from '../dns/query-log.ts';
import { AgentError, errnoOf } from './agent-error.ts';
import type { ServiceReport } from './host/service-report.ts';
import type { AgentStatus, Check, PeerStatus } from './status.ts';

export interface AskOptions {
  timeoutMs?: number;
}

export function agentReady(socketPath: string, options?: AskOptions): Promise<{ ready: boolean; why: string }> {
  return ask(socketPath, 'GET', '/readyz', undefined, options) as Promise<{ ready: boolean; why: string }>;
}

export function agentStatus(socketPath: string, options?: AskOptions): Promise<AgentStatus> {
  return ask(socketPath, 'GET', '/status', undefined, options) as Promise<AgentStatus>;
}

export function agentDoctor(socketPath: string, options?: AskOptions): Promise<Check[]> {
  return ask(socketPath, 'GET', '/doctor', undefined, { timeoutMs: 60_000, ...options }) as Promise<Check[]>;
}

/** Probes one peer, by node name or address, or all of them. */
export function agentProbe(socketPath: string, host?: string, options?: AskOptions): Promise<PeerStatus[]> {
  const body = JSON.stringify(host === undefined ? {} : { host });
  return ask(socketPath, 'POST', '/probe', body, { timeoutMs: 60_000, ...options }) as Promise<PeerStatus[]>;
}

/** What happens when a pod looks a name up. */
export function agentExplain(
  socketPath: string,
  pod: string,
  name: string,
  options?: AskOptions,
): Promise<Explanation> {
  const body = JSON.stringify({ pod, name });
  return ask(socketPath, 'POST', '/dns/explain', body, { timeoutMs: 60_000, ...options }) as Promise<Explanation>;
}

/** The last DNS questions, oldest first. */
export function agentDnsLog(socketPath: string, options?: AskOptions): Promise<QueryLogEntry[]> {
  return ask(socketPath, 'GET', '/dns/log', undefined, options) as Promise<QueryLogEntry[]>;
}

/** Services as the host serves them: those called so, `NAME` or `NAMESPACE/NAME`, or all. */
export function agentServices(
  socketPath: string,
  names: readonly string[] = [],
  options?: AskOptions,
): Promise<ServiceReport[]> {
  const query = new URLSearchParams(names.map((name): [string, string] => ['name', name]));
  return ask(socketPath, 'GET', `/services?${query}`, undefined, { timeoutMs: 30_000, ...options }) as Promise<
    ServiceReport[]
  >;
}

function ask(
  socketPath: string,
  method: string,
  path: string,
  body?: string,
  options: AskOptions = {},
): Promise<unknown> {
  return new Promise((done, fail) => {
    const timeoutMs = options.timeoutMs ?? 5000;
    const outgoing = request({ socketPath, method, path, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      response.on('error', fail);
      response.on('end', () => {
        try {
          const value = JSON.parse(text) as { error?: string };
          // /readyz says 503 with a body of its own.
          if (typeof value.error === 'string') fail(new AgentError('agent-answer', value.error));
          else done(value);
        } catch (error) {
          fail(new AgentError('agent-answer', `the agent at ${socketPath} answered what is no JSON`, '', error));
        }
      });
    });
    const late = setTimeout(() => {
      outgoing.destroy(new AgentError('agent-silent', `the agent at ${socketPath} did not answer in ${timeoutMs} ms`));
    }, timeoutMs);
    outgoing.on('close', () => clearTimeout(late));
    outgoing.on('error', (error) => fail(error instanceof AgentError ? error : unreachable(socketPath, error)));
    outgoing.end(body);
  });
}

function unreachable(socketPath: string, error: Error): AgentError {
  const code = errnoOf(error);
  if (code === 'ENOENT' || code === 'ECONNREFUSED') {
    return new AgentError(
      'no-agent',
      `no agent answers at ${socketPath}`,
      'start one with weft agent, or name its socket',
      error,
    );
  }
  const remedy = code === 'EACCES' ? 'run it as the user that the agent runs as' : '';
  return new AgentError(
    'no-agent',
    `the agent at ${socketPath} cannot be asked (${code || error.message})`,
    remedy,
    error,
  );
}
