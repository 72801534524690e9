/**
 * A command's streams over SPDY/3.1, protocol v4.channel.k8s.io (kubectl up to 1.29): the client opens one stream each
 * for its standard streams, for errors and for window sizes, and says by the header `streamtype` which is which.
 */
import type { Duplex } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { RemoteOptions, RemoteStatus, RemoteStreams } from './remote-streams.ts';
import { SpdyConnection, type SpdyStream } from './spdy-connection.ts';

export const SPDY_PROTOCOLS: readonly string[] = ['v4.channel.k8s.io'];

/** A client opens its streams within this time (kubelet's stream creation timeout). */
const SETUP_MS = 30_000;
const MOST_STREAMS = 8;

/** Resolves when the client has opened the streams that it announced. Rejects when it goes before, or takes too long. */
export function spdyCommand(
  socket: Duplex,
  head: Buffer,
  options: RemoteOptions,
  setupMs: number = SETUP_MS,
): Promise<RemoteStreams> {
  const wanted = ['error'];
  if (options.stdin) wanted.push('stdin');
  if (options.stdout) wanted.push('stdout');
  if (options.stderr) wanted.push('stderr');
  if (options.tty) wanted.push('resize');
  return new Promise((resolve, reject) => {
    const streams = new Map<string, SpdyStream>();
    const closeListeners: (() => void)[] = [];
    const connection = new SpdyConnection(socket, head, {
      mostStreams: MOST_STREAMS,
      onStream: (stream) => {
        const type = stream.headers.get('streamtype') ?? '';
        if (!wanted.includes(type) || streams.has(type)) {
          stream.destroy();
          return;
        }
        streams.set(type, stream);
        if (streams.size < wanted.length) return;
        clearTimeout(timer);
        resolve(remoteStreams(connection, streams, closeListeners));
      },
      onClose: () => {
        clearTimeout(timer);
        reject(new Error('the client went before it had opened its streams'));
        for (const listener of closeListeners) listener();
      },
    });
    const timer = setTimeout(() => connection.destroy(), setupMs);
  });
}

function remoteStreams(
  connection: SpdyConnection,
  streams: ReadonlyMap<string, SpdyStream>,
  closeListeners: (() => void)[],
): RemoteStreams {
  const [error, stdin, stdout, stderr] = ['error', 'stdin', 'stdout', 'stderr'].map((type) => streams.get(type));
  // Nothing comes on these, and what does must not stop the connection.
  for (const silent of [error, stdout, stderr]) silent?.resume();
  const finish = async (status: RemoteStatus): Promise<void> => {
    const outputs = [stdout, stderr].filter((stream) => stream !== undefined);
    for (const stream of outputs) stream.end();
    const ended = outputs.map((stream) => finished(stream, { readable: false }));
    await Promise.allSettled(ended);
    error?.end(JSON.stringify(status));
    if (error) await finished(error, { readable: false }).catch(() => {});
    // Nobody reads it any more.
    stdin?.resume();
    connection.close();
  };
  return {
    stdin,
    stdout,
    stderr,
    resize: streams.get('resize'),
    finish,
    onClose: (listener) => closeListeners.push(listener),
    destroy: () => connection.destroy(),
    ping: () => connection.ping(),
  };
}
