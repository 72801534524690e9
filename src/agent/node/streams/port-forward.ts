/**
 * `kubectl port-forward` at the node (k8s.io/kubelet portforward, protocol portforward.k8s.io): for every connection to
 * the client's port it opens two streams of SPDY/3.1 with one requestID, and the node connects to that port on the
 * pod's localhost.
 *
 *   streamtype: data ◀─▶ the connection, each direction with its own end
 *   streamtype: error ─▶ one sentence where that could not be made; its end says that there will be none
 *
 * What the protocol has no word for is the connection's haste: a server that does not read, or a client, holds up the
 * other connections of the same forward, as it does between kubectl and kubelet.
 */
import type { Duplex } from 'node:stream';
import { describeError } from '../../agent-error.ts';
import { SpdyConnection, type SpdyStream } from './spdy-connection.ts';

/** At a time; what comes beyond is let go at once. To say why would end the whole forward, as kubectl takes errors. */
const MOST_CONNECTIONS = 256;
/** The second stream of a pair comes within this time (kubelet's stream creation timeout). */
const PAIR_MS = 30_000;
/** What a pod's last words need to get to the client. */
const GOODBYE_MS = 5000;

export interface ForwardParts {
  /** For messages: `NAMESPACE/NAME`. */
  pod: string;
  /** Of the pod. */
  loopback: { connect(port: number): Promise<Duplex>; readonly ended: AbortSignal };
  /** Something was passed on. */
  onActivity(): void;
  mostConnections?: number;
  pairMs?: number;
}

/** A stream whose other one has not come yet. */
interface Half {
  kind: 'error' | 'data';
  stream: SpdyStream;
  timer: NodeJS.Timeout;
}

export class PortForward {
  readonly #parts: ForwardParts;
  readonly #connection: SpdyConnection;
  /** By requestID. */
  readonly #halves = new Map<string, Half>();
  /** Connections to the pod, those among them that are being made. */
  #live = 0;
  #isOver = false;

  /** Begins at once; ends with the client or the pod. `head`: what the client has sent already. */
  constructor(carrier: Duplex, head: Buffer, parts: ForwardParts) {
    this.#parts = parts;
    const { ended } = parts.loopback;
    const end = () => this.#end();
    const { mostConnections = MOST_CONNECTIONS } = parts;
    this.#connection = new SpdyConnection(carrier, head, {
      // With those whose other half has not come yet, or is still read.
      mostStreams: 4 * mostConnections,
      onStream: (stream) => this.#take(stream),
      onClose: () => ended.removeEventListener('abort', end),
    });
    ended.addEventListener('abort', end);
    if (ended.aborted) end();
  }

  ping(): void {
    this.#connection.ping();
  }

  destroy(): void {
    this.#connection.destroy();
  }

  #take(stream: SpdyStream): void {
    const { mostConnections = MOST_CONNECTIONS, pairMs = PAIR_MS } = this.#parts;
    const kind = stream.headers.get('streamtype');
    const request = stream.headers.get('requestid');
    const port = portOf(stream);
    if ((kind !== 'error' && kind !== 'data') || !request || !port || this.#isOver) {
      stream.destroy();
      return;
    }
    const other = this.#halves.get(request);
    if (!other) {
      this.#await(request, { kind, stream, timer: setTimeout(() => stream.destroy(), pairMs) });
      return;
    }
    if (other.kind === kind) {
      stream.destroy();
      return;
    }
    this.#forget(request, other);
    if (this.#live >= mostConnections) {
      for (const each of [stream, other.stream]) each.destroy();
      return;
    }
    const [data, error] = kind === 'data' ? [stream, other.stream] : [other.stream, stream];
    void this.#forward(data, error);
  }

  #await(request: string, half: Half): void {
    this.#halves.set(request, half);
    half.stream.once('close', () => this.#forget(request, half));
  }

  #forget(request: string, half: Half): void {
    clearTimeout(half.timer);
    if (this.#halves.get(request) === half) this.#halves.delete(request);
  }

  /** Never rejects. */
  async #forward(data: SpdyStream, error: SpdyStream): Promise<void> {
    const { pod, loopback, onActivity } = this.#parts;
    const port = portOf(data) as number;
    // The client says nothing on it.
    error.resume();
    this.#live++;
    try {
      const socket = await loopback.connect(port);
      await join(data, socket, error, onActivity);
    } catch (cause) {
      error.end(`error forwarding port ${port} to pod ${pod}: ${describeError(cause)}`);
      data.resume().end();
    }
    this.#live--;
    if (this.#isOver && this.#live === 0) this.#connection.close();
  }

  /** The pod has ended: its connections end by themselves, and then that to the client. */
  #end(): void {
    this.#isOver = true;
    if (this.#live === 0) this.#connection.close();
    setTimeout(() => this.destroy(), GOODBYE_MS).unref();
  }
}

function portOf({ headers }: SpdyStream): number | undefined {
  const text = headers.get('port') ?? '';
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65_535 ? port : undefined;
}

/** Resolves when it has ended, on both sides. That it breaks is no failure of the forward, as it is for kubelet. */
async function join(data: SpdyStream, socket: Duplex, error: SpdyStream, onActivity: () => void): Promise<void> {
  const closed = [closeOf(data), closeOf(socket)];
  for (const each of [data, socket]) each.on('data', onActivity);
  data.pipe(socket);
  socket.pipe(data);
  // By then the client wants to know that all went well, whatever it still sends.
  data.once('finish', () => error.end());
  const drop = () => {
    error.end();
    // Where both sides have said all, what is under way still gets there.
    if (!data.readableEnded || !data.writableFinished) socket.destroy();
  };
  if (data.destroyed) drop();
  else data.once('close', drop);
  // After all that came from there; what the client sends, nobody reads any more.
  socket.once('close', () => data.end(() => data.destroy()));
  await Promise.all(closed);
}

async function closeOf(stream: Duplex): Promise<void> {
  if (!stream.closed) await new Promise((resolve) => stream.once('close', resolve));
}
