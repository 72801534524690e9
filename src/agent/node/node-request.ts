/** Requests to the node server, read: kubelet's paths and their queries. Whatever they hold, it ends as a NodeError. */
import type { ContainerLogRequest } from '../pods/pod-access.ts';
import { NodeError } from './node-error.ts';
import type { RemoteOptions } from './streams/remote-streams.ts';

export interface NodePath {
  action: 'healthz' | 'containerLogs' | 'exec' | 'attach' | 'portForward';
  namespace: string;
  pod: string;
  /** '' where the whole pod is meant. */
  container: string;
  query: URLSearchParams;
}

const OF_CONTAINERS: ReadonlySet<string> = new Set(['containerLogs', 'exec', 'attach']);

export function nodePath(text = '/'): NodePath {
  let url: URL;
  let words: string[];
  try {
    url = new URL(text, 'https://node');
    words = url.pathname.split('/').slice(1).map(decodeURIComponent);
  } catch {
    throw new NodeError(400, 'the path cannot be read');
  }
  const [action, namespace = '', pod = '', container = ''] = words;
  const query = url.searchParams;
  if (action === 'healthz' && words.length === 1) return { action, namespace, pod, container, query };
  if (action === 'portForward' && words.length === 3 && namespace && pod) {
    return { action, namespace, pod, container, query };
  }
  if (OF_CONTAINERS.has(action as string) && words.length === 4 && namespace && pod && container) {
    return { action: action as NodePath['action'], namespace, pod, container, query };
  }
  throw new NodeError(404, 'nothing is served here');
}

export function logRequestOf({ namespace, pod, container, query }: NodePath, nowMs = Date.now()): ContainerLogRequest {
  const [tailLines, sinceSeconds, limitBytes] = ['tailLines', 'sinceSeconds', 'limitBytes'].map((name) =>
    countOf(query, name),
  );
  const since = sinceSeconds === undefined ? timeOf(query, 'sinceTime') : timeBefore(nowMs, sinceSeconds);
  return {
    ...{ namespace, pod, container },
    previous: isTrue(query, 'previous'),
    follow: isTrue(query, 'follow'),
    timestamps: isTrue(query, 'timestamps'),
    ...(tailLines === undefined ? {} : { tailLines }),
    ...(limitBytes === undefined ? {} : { limitBytes }),
    ...(since === undefined ? {} : { since }),
  };
}

export function commandOf({ query }: NodePath): readonly string[] {
  const command = query.getAll('command');
  if (command.length === 0 || command[0] === '') throw new NodeError(400, 'you must specify a command');
  // No program takes them.
  if (command.some((word) => word.includes('\0'))) throw new NodeError(400, 'the command holds a zero byte');
  return command;
}

export function remoteOptionsOf({ query }: NodePath): RemoteOptions {
  const tty = isTrue(query, 'tty');
  const options = {
    stdin: isTrue(query, 'input'),
    stdout: isTrue(query, 'output'),
    stderr: isTrue(query, 'error') && !tty,
    tty,
  };
  if (!options.stdin && !options.stdout && !options.stderr) {
    throw new NodeError(400, 'you must specify at least 1 of stdin, stdout, stderr');
  }
  return options;
}

function isTrue(query: URLSearchParams, name: string): boolean {
  const text = query.get(name);
  return text === 'true' || text === '1';
}

function countOf(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new NodeError(400, `${name}: is not a whole number: ${text.slice(0, 40)}`);
}

function timeOf(query: URLSearchParams, name: string): Date | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) throw new NodeError(400, `${name}: is no time: ${text.slice(0, 40)}`);
  return time;
}

/** Not before there were times. */
function timeBefore(nowMs: number, seconds: number): Date {
  return new Date(Math.max(0, nowMs - seconds * 1000));
}
