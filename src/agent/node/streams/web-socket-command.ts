/**
 * A command's streams over a WebSocket (k8s.io/streaming remotecommand, from kubectl 1.30 on): every message is binary,
 * and its first byte names the channel. v5 can close the command's input, v4 cannot.
 *
 *   0 stdin   1 stdout   2 stderr   3 the status, as JSON   4 window sizes, as JSON   255 close: the next byte's channel
 */
import { type Duplex, Readable, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { RawData, WebSocket } from 'ws';
import type { RemoteOptions, RemoteStatus, RemoteStreams } from './remote-streams.ts';

/** Best first. */
export const WEB_SOCKET_PROTOCOLS: readonly string[] = ['v5.channel.k8s.io', 'v4.channel.k8s.io'];

const STDIN = 0;
const STDOUT = 1;
const STDERR = 2;
const STATUS = 3;
const RESIZE = 4;
const CLOSE = 255;
const NORMAL_CLOSURE = 1000;
/** A client that reads has its channels open so soon after. */
const OPENING_MS = 20;
/** A client that answers no ping, nor says anything, is believed to be ready. */
const MOST_OPENING_MS = 1000;

/** `connection` is what the WebSocket, just opened, runs on. Its errors and pings are looked after by who accepted it. */
export function webSocketCommand(socket: WebSocket, connection: Duplex, options: RemoteOptions): RemoteStreams {
  const canClose = socket.protocol === WEB_SOCKET_PROTOCOLS[0];
  /** Whose readers are behind. The whole connection waits for all of them. */
  const full = new Set<Readable>();
  const input = () =>
    new Readable({
      read() {
        full.delete(this);
        if (full.size === 0) socket.resume();
      },
      destroy(error, done) {
        full.delete(this);
        done(error);
      },
    });
  const stdin = options.stdin ? input() : undefined;
  const resize = options.tty ? input() : undefined;
  const ready = channelsOpen(socket);
  const stdout = options.stdout ? channelWriter(socket, STDOUT, ready) : undefined;
  const stderr = options.stderr ? channelWriter(socket, STDERR, ready) : undefined;
  const ended = new Set<Readable>();
  const give = (to: Readable | undefined, bytes: Buffer | null) => {
    if (!to || to.destroyed || ended.has(to)) return;
    if (bytes === null) ended.add(to);
    if (to.push(bytes) || bytes === null) return;
    full.add(to);
    socket.pause();
  };
  socket.on('message', (data: RawData) => {
    const bytes = data as Buffer;
    const [channel] = bytes;
    if (channel === STDIN && bytes.length > 1) give(stdin, bytes.subarray(1));
    else if (channel === RESIZE && bytes.length > 1) give(resize, bytes.subarray(1));
    else if (channel === CLOSE && canClose && bytes[1] === STDIN) give(stdin, null);
  });
  connection.once('close', () => {
    for (const stream of [stdin, resize, stdout, stderr]) stream?.destroy();
  });
  const finish = async (status: RemoteStatus): Promise<void> => {
    const outputs = [stdout, stderr].filter((stream) => stream !== undefined);
    for (const stream of outputs) stream.end();
    await Promise.allSettled(outputs.map((stream) => finished(stream)));
    const error = channelWriter(socket, STATUS, ready);
    error.end(JSON.stringify(status));
    await finished(error).catch(() => {});
    // What comes now is dropped; the client's own close has to be seen.
    stdin?.destroy();
    socket.resume();
    socket.close(NORMAL_CLOSURE);
  };
  return {
    stdin,
    stdout,
    stderr,
    resize,
    finish,
    onClose: (listener) => void connection.once('close', listener),
    destroy: () => socket.terminate(),
    ping: () => {
      if (socket.readyState === socket.OPEN) socket.ping();
    },
  };
}

/**
 * kubectl (seen with 1.31) reads before it has opened its channels, and throws away what comes for one that is not open
 * ("Unknown stream id"), the status too: nothing is sent before they are. What a client says itself tells that they are;
 * the answer to a ping tells that it reads.
 */
function channelsOpen(socket: WebSocket): Promise<void> {
  return new Promise((resolve) => {
    let timer = setTimeout(resolve, MOST_OPENING_MS);
    const open = () => {
      clearTimeout(timer);
      resolve();
    };
    socket.once('message', open).once('close', open);
    socket.once('pong', () => {
      clearTimeout(timer);
      timer = setTimeout(open, OPENING_MS);
    });
    socket.ping();
  });
}

/** Its first message waits for `ready`. */
function channelWriter(socket: WebSocket, channel: number, ready: Promise<void>): Writable {
  const writer = new Writable({
    highWaterMark: 64 * 1024,
    write: (bytes: Buffer, _, done) => {
      const message = Buffer.allocUnsafe(bytes.length + 1);
      message[0] = channel;
      bytes.copy(message, 1);
      void ready.then(() => socket.send(message, { binary: true }, done));
    },
  });
  writer.on('error', () => {});
  return writer;
}
