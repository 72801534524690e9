/**
 * Another protocol within a WebSocket: the bytes of its binary messages, one after the other. So kubectl from 1.31 on
 * takes SPDY through proxies that pass on WebSockets alone (KEP-4006).
 */
import { Duplex } from 'node:stream';
import type { RawData, WebSocket } from 'ws';

const NORMAL_CLOSURE = 1000;
/** What came before the end is read within this time. */
const GOODBYE_MS = 10_000;

export class WebSocketTunnel extends Duplex {
  readonly #socket: WebSocket;

  /** The WebSocket's errors and pings are looked after by who accepted it. */
  constructor(socket: WebSocket) {
    // Who has closed a WebSocket is told nothing more.
    super({ allowHalfOpen: false });
    this.#socket = socket;
    this.on('error', () => {});
    socket.on('message', (data: RawData) => {
      if (!this.push(data)) socket.pause();
    });
    socket.once('close', () => {
      if (this.destroyed) return;
      this.push(null);
      const timer = setTimeout(() => this.destroy(), GOODBYE_MS);
      this.once('close', () => clearTimeout(timer));
    });
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(bytes: Buffer, _: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#socket.send(bytes, { binary: true }, done);
  }

  /** What was written together is one message. */
  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), 'binary', done);
  }

  override _final(done: () => void): void {
    this.#socket.close(NORMAL_CLOSURE);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.terminate();
    done(error);
  }
}
