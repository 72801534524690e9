/**
 * Our end of a pseudo-terminal as a stream: what is written is typed, what is read was printed. Reading waits in the
 * event loop; writing goes through the thread pool and is tried again where the terminal is full, so that a command
 * that reads nothing stops nobody.
 */
import { write } from 'node:fs';
import { Duplex } from 'node:stream';
import { ReadStream } from 'node:tty';
import type { NativeAddon, WindowSize } from '../../../io/native-addon.ts';

/** How soon a full terminal is tried again. */
const FULL_MS = 10;

export class Terminal extends Duplex {
  readonly #native: Pick<NativeAddon, 'resizePty'>;
  readonly #controller: number;
  readonly #output: ReadStream;
  #afterWrite: (() => void) | undefined;
  #isWriting = false;
  #retry: NodeJS.Timeout | undefined;

  /** Owns the descriptor from now on. */
  constructor(native: Pick<NativeAddon, 'resizePty'>, controller: number) {
    super({ allowHalfOpen: true, autoDestroy: false });
    this.#native = native;
    this.#controller = controller;
    this.#output = new ReadStream(controller);
    this.#output.on('data', (bytes: Buffer) => {
      if (!this.push(bytes)) this.#output.pause();
    });
    // EIO: no process has the other end any more.
    const end = () => {
      if (!this.readableEnded && !this.destroyed) this.push(null);
    };
    this.#output.on('error', end).once('end', end);
    this.on('error', () => {});
  }

  resize(size: WindowSize): void {
    try {
      if (!this.#output.destroyed) this.#native.resizePty(this.#controller, size);
    } catch {
      // Its command has just ended.
    }
  }

  override _read(): void {
    this.#output.resume();
  }

  override _write(bytes: Buffer, _: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#output.destroyed) return done(new Error('the terminal is closed'));
    this.#isWriting = true;
    write(this.#controller, bytes, (error, written) => {
      this.#isWriting = false;
      this.#afterWrite?.();
      if (this.destroyed) return done(new Error('the terminal is closed'));
      if (error && error.code !== 'EAGAIN') return done(error);
      const rest = bytes.subarray(error ? 0 : written);
      if (rest.length === 0) return done();
      this.#retry = setTimeout(() => this._write(rest, _, done), error ? FULL_MS : 0);
    });
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    clearTimeout(this.#retry);
    const close = () => {
      this.#output.destroy();
      done(error);
    };
    // A descriptor that is closed under a write may be somebody else's by then.
    if (this.#isWriting) this.#afterWrite = close;
    else close();
  }
}
