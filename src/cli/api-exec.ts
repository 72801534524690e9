/**
 * A command in a pod by the API server, wherever the pod runs: `v5.channel.k8s.io` over WebSocket, where the first byte
 * of a message says which stream it is of. Our terminal becomes the command's own.
 */
import type { Writable } from 'node:stream';
import WebSocket from 'ws';
import type { ApiClient } from '../kube/api-client.ts';

const PROTOCOLS = ['v5.channel.k8s.io', 'v4.channel.k8s.io'];
const CHANNEL = { stdin: 0, stdout: 1, stderr: 2, status: 3, resize: 4, close: 255 } as const;
/** What waits to be sent before standard input is held back. */
const MOST_WAITING_BYTES = 1 << 20;
const DRAIN_MS = 10;

export interface ApiExecRequest {
  namespace: string;
  pod: string;
  container?: string;
  command: readonly string[];
  /** The command has a terminal: ours. */
  tty: boolean;
}

interface Status {
  status?: string;
  message?: string;
  reason?: string;
  details?: { causes?: { reason?: string; message?: string }[] };
}

/** Resolves with the command's exit code. */
export function execByApi(client: ApiClient, request: ApiExecRequest): Promise<number> {
  const { namespace, pod, container, command, tty } = request;
  const base = client.access.server.replace(/^http/, 'ws');
  const url = new URL(
    `${base}/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(pod)}/exec`,
  );
  for (const word of command) url.searchParams.append('command', word);
  if (container !== undefined) url.searchParams.set('container', container);
  for (const stream of ['stdin', 'stdout', ...(tty ? ['tty'] : ['stderr'])]) url.searchParams.set(stream, 'true');
  const socket = new WebSocket(url, PROTOCOLS, { ...client.tls(), headers: client.authorization() });
  return new Promise((resolve, reject) => {
    let ending: Status | undefined;
    let restore = (): void => {};
    socket.once('unexpected-response', (_, answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part: string) => {
        if (text.length < 65_536) text += part;
      });
      answer.once('end', () => reject(new Error(messageOf(text) ?? `${url.pathname}: ${answer.statusCode}`)));
    });
    socket.once('error', (error) => reject(error));
    socket.once('open', () => {
      restore = carryStreams(socket, tty);
    });
    socket.on('message', (data: Buffer) => {
      const part = data.subarray(1);
      if (data[0] === CHANNEL.stdout) writePaced(socket, process.stdout, part);
      else if (data[0] === CHANNEL.stderr) writePaced(socket, process.stderr, part);
      else if (data[0] === CHANNEL.status) ending = parse(part.toString('utf8'));
    });
    socket.once('close', () => {
      restore();
      if (ending === undefined) reject(new Error(`the connection to pod ${namespace}/${pod} broke off`));
      else if (ending.status === 'Success') resolve(0);
      else {
        const code = ending.details?.causes?.find(({ reason }) => reason === 'ExitCode')?.message;
        if (ending.reason === 'NonZeroExitCode' && code !== undefined) resolve(Number(code));
        else reject(new Error(ending.message ?? 'the command could not be run'));
      }
    });
  });
}

/** Whoever reads what we write more slowly than the command speaks holds the command back. */
function writePaced(socket: WebSocket, to: Writable, part: Uint8Array): void {
  if (to.write(part) || socket.isPaused) return;
  socket.pause();
  to.once('drain', () => socket.resume());
}

/** Standard input goes there, and the size of the terminal; what is returned leaves ours as it was. */
function carryStreams(socket: WebSocket, tty: boolean): () => void {
  const { stdin, stdout } = process;
  const send = (channel: number, data: Uint8Array): void => {
    if (socket.readyState === WebSocket.OPEN) socket.send(Buffer.concat([Buffer.from([channel]), data]));
  };
  const resize = (): void => {
    send(CHANNEL.resize, Buffer.from(JSON.stringify({ Width: stdout.columns, Height: stdout.rows })));
  };
  const onData = (data: Buffer): void => {
    send(CHANNEL.stdin, data);
    if (socket.bufferedAmount > MOST_WAITING_BYTES) {
      stdin.pause();
      drained();
    }
  };
  const drained = (): void => {
    if (socket.bufferedAmount === 0) stdin.resume();
    else setTimeout(drained, DRAIN_MS);
  };
  const onEnd = (): void => {
    if (socket.protocol === PROTOCOLS[0]) send(CHANNEL.close, Buffer.from([CHANNEL.stdin]));
  };
  if (tty) {
    stdin.setRawMode?.(true);
    resize();
    stdout.on('resize', resize);
  }
  stdin.on('data', onData).once('end', onEnd);
  return () => {
    stdin.off('data', onData).off('end', onEnd).pause();
    stdin.unref?.();
    stdout.off('resize', resize);
    if (tty) stdin.setRawMode?.(false);
  };
}

function parse(text: string): Status {
  try {
    return JSON.parse(text) as Status;
  } catch {
    return { status: 'Failure', message: text };
  }
}

function messageOf(text: string): string | undefined {
  return text.startsWith('{') ? parse(text).message : undefined;
}
