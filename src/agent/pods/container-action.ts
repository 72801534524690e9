/**
 * What a probe or a hook does once: a command in the container, a request to it, or a connection. Requests and
 * connections come from the host. Whatever the other side does, an attempt ends in its time, and holds little memory.
 */
import { spawn } from 'node:child_process';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { createConnection } from 'node:net';
import type { Container, ExecAction, HTTPGetAction, TCPSocketAction } from 'kubernetes-types/core/v1.js';
import type { StartCommand } from './container-command.ts';
import { signalGroup } from './process-table.ts';
import { timerMs } from './timer-limit.ts';

export interface Action {
  exec?: ExecAction;
  httpGet?: HTTPGetAction;
  tcpSocket?: TCPSocketAction;
}

export interface ActionTarget {
  /** The pod's address, or the host's for one in its network. */
  address: string;
  /** For the names of ports. */
  container: Container;
  /** How a command is run beside the container's. */
  beside(argv: readonly string[]): StartCommand;
}

export interface Outcome {
  ok: boolean;
  /** What was answered or went wrong, cut short. */
  message: string;
}

/** What is kept of an answer (kubelet: maxRespBodyLength 10 KiB); much less is told. */
const ANSWER_BYTES = 10 * 1024;
const TOLD_CHARACTERS = 500;

/** As Go's http.Client has it, and kubelet with it. */
const MOST_REDIRECTS = 10;
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];

const failed = (message: string): Outcome => ({ ok: false, message: message.slice(0, TOLD_CHARACTERS) });
const succeeded = (message: string): Outcome => ({ ok: true, message: message.slice(0, TOLD_CHARACTERS) });

/** Never rejects: what no program or host can be given, as a word with a zero byte, is a failure like another. */
export async function perform(action: Action, target: ActionTarget, timeoutMs: number): Promise<Outcome> {
  const ms = timerMs(timeoutMs);
  try {
    if (action.exec) return await runBeside(target.beside(action.exec.command ?? []), ms);
    if (action.httpGet) return await get(action.httpGet, target, ms);
    if (action.tcpSocket) return await connect(action.tcpSocket, target, ms);
  } catch (error) {
    return failed((error as Error).message);
  }
  return failed('no exec, httpGet or tcpSocket is named');
}

function runBeside({ file, args, env }: StartCommand, timeoutMs: number): Promise<Outcome> {
  return new Promise((done) => {
    let output = '';
    let late = false;
    const child = spawn(file, args, { cwd: '/', env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    const timer = setTimeout(() => {
      late = true;
      signalGroup(child.pid ?? 0, 'SIGKILL');
      // What left the group may hold its output open.
      child.stdout.destroy();
      child.stderr.destroy();
    }, timeoutMs);
    const keep = (text: string): void => {
      if (output.length < ANSWER_BYTES) output += text.slice(0, ANSWER_BYTES - output.length);
    };
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', keep);
      stream.on('error', () => {});
    }
    child.once('error', (error) => {
      clearTimeout(timer);
      done(failed(error.message));
    });
    child.once('exit', (code) => {
      // What it left in the background must not outlive the attempt by long.
      setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
      }, 100).unref();
      if (late) return;
      child.once('close', () => {
        clearTimeout(timer);
        if (code === 0) done(succeeded(output));
        else done(failed(output.trim() || `exit code ${code}`));
      });
    });
    child.once('close', () => {
      if (!late) return;
      done(failed(`command ${JSON.stringify(args.slice(args.indexOf('--') + 1))} timed out`));
    });
  });
}

/** Follows redirects within the host, as kubelet does; one that leads elsewhere is an answer. */
async function get(action: HTTPGetAction, target: ActionTarget, timeoutMs: number): Promise<Outcome> {
  const port = portOf(action.port, target.container);
  if (port === undefined) return failed(`no port is called ${action.port}`);
  const headers: Record<string, string> = { 'user-agent': 'kube-probe/1.30', accept: '*/*', connection: 'close' };
  for (const { name, value } of action.httpHeaders ?? []) headers[name.toLowerCase()] = value;
  const path = (action.path || '/').replace(/^(?!\/)/, '/');
  const scheme = action.scheme === 'HTTPS' ? 'https' : 'http';
  const begin = `${scheme}://${bracketed(action.host || target.address)}:${port}${path}`;
  const late = failed(`Get "${begin}": no answer within ${timeoutMs} ms`);
  const deadline = performance.now() + timeoutMs;
  let url = new URL(begin);
  for (let i = 0; i <= MOST_REDIRECTS; i++) {
    const answer = await ask(url, headers, deadline - performance.now(), late);
    const next = answer.location === undefined ? undefined : targetOf(answer.location, url);
    if (next?.hostname !== url.hostname) return answer;
    url = next;
  }
  return failed(`Get "${begin}": stopped after ${MOST_REDIRECTS} redirects`);
}

function targetOf(location: string, from: URL): URL | undefined {
  const to = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  return to?.protocol === 'http:' || to?.protocol === 'https:' ? to : undefined;
}

function ask(
  url: URL,
  headers: Record<string, string>,
  timeoutMs: number,
  late: Outcome,
): Promise<Outcome & { location?: string }> {
  return new Promise((done) => {
    const options = { headers, agent: false };
    // Whoever probes by HTTPS asks whether it answers, not who it is (kubelet does not look at certificates).
    const request =
      url.protocol === 'https:'
        ? httpsRequest(url, { ...options, rejectUnauthorized: false })
        : httpRequest(url, options);
    const timer = setTimeout(() => end(late), timeoutMs);
    const end = (outcome: Outcome & { location?: string }): void => {
      clearTimeout(timer);
      request.destroy();
      done(outcome);
    };
    request.on('error', (error) => end(failed(`Get "${url.href}": ${error.message}`)));
    request.on('response', (response) => {
      const code = response.statusCode ?? 0;
      const { location } = response.headers;
      const answered = (): void => {
        if (code < 200 || code >= 400) return end(failed(`HTTP probe failed with statuscode: ${code}`));
        end({ ...succeeded(`${code}`), ...(location && REDIRECTS.includes(code) ? { location } : {}) });
      };
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > ANSWER_BYTES) answered();
      });
      response.on('end', answered);
      response.on('error', (error) => end(failed(error.message)));
    });
    request.end();
  });
}

function connect(action: TCPSocketAction, target: ActionTarget, timeoutMs: number): Promise<Outcome> {
  const port = portOf(action.port, target.container);
  if (port === undefined) return Promise.resolve(failed(`no port is called ${action.port}`));
  const host = action.host || target.address;
  return new Promise((done) => {
    const socket = createConnection({ host, port });
    const end = (outcome: Outcome): void => {
      clearTimeout(timer);
      socket.destroy();
      done(outcome);
    };
    const timer = setTimeout(() => end(failed(`dial tcp ${bracketed(host)}:${port}: i/o timeout`)), timeoutMs);
    socket.once('connect', () => end(succeeded('')));
    socket.on('error', (error) => end(failed(`dial tcp ${bracketed(host)}:${port}: ${error.message}`)));
  });
}

function portOf(port: number | string, container: Container): number | undefined {
  if (typeof port === 'number') return port;
  return container.ports?.find((each) => each.name === port)?.containerPort ?? (Number(port) || undefined);
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
