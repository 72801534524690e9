/**
 * A server's side of SPDY/3.1 as Kubernetes' clients speak it (moby/spdystream): the client opens streams, each carries
 * bytes both ways. There is no flow control of streams, since those clients send no windows: a reader that falls
 * behind stops the connection, as they do.
 *
 *   control frame: 1│ version 15 │ type 16 │ flags 8 │ length 24 │ …      data frame: 0│ stream 31 │ flags 8 │ length 24 │ …
 */
import { Duplex } from 'node:stream';
import { HeaderCodec, SpdyError } from './spdy-headers.ts';

const VERSION = 3;
const SYN_STREAM = 1;
const SYN_REPLY = 2;
const RST_STREAM = 3;
const PING = 6;
const GOAWAY = 7;
const HEADERS = 8;

const FLAG_FIN = 1;
/** Draft 3.1, 2.6.3. */
const PROTOCOL_ERROR = 1;
const REFUSED_STREAM = 3;
const CANCEL = 5;

const FRAME_HEADER_BYTES = 8;
const MOST_CONTROL_BYTES = 64 * 1024;
const MOST_DATA_BYTES = 64 * 1024;
/** Streams wait for their writes; only answers to a client that does not read them come to so much. */
const MOST_PENDING_BYTES = 4 * 1024 * 1024;

export interface SpdyOptions {
  /** Streams that a client may have open at a time. */
  mostStreams: number;
  /** A stream that the client opened, answered already. */
  onStream(stream: SpdyStream): void;
  /** The connection is gone, by whichever side. */
  onClose(): void;
}

export class SpdyStream extends Duplex {
  readonly id: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly #connection: SpdyConnection;
  #wake: (() => void) | undefined;
  #sentEnd = false;
  #receivedEnd = false;

  constructor(connection: SpdyConnection, id: number, headers: ReadonlyMap<string, string>) {
    super({ writableHighWaterMark: MOST_DATA_BYTES });
    this.#connection = connection;
    this.id = id;
    this.headers = headers;
    this.on('error', () => {});
  }

  /** Resolves when the reader has room for more. */
  async receive(bytes: Buffer): Promise<void> {
    if (this.#receivedEnd || this.destroyed || this.push(bytes)) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  receiveEnd(): void {
    if (!this.#receivedEnd && !this.destroyed) this.push(null);
    this.#receivedEnd = true;
  }

  override _read(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  override _write(bytes: Buffer, _: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#connection.sendData(this.id, bytes, false, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#sentEnd = true;
    this.#connection.sendData(this.id, Buffer.alloc(0), true, done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (!this.#sentEnd || !this.#receivedEnd) this.#connection.sendReset(this.id, CANCEL);
    this.#connection.forget(this.id);
    this._read();
    done(error);
  }
}

export class SpdyConnection {
  readonly #socket: Duplex;
  readonly #options: SpdyOptions;
  readonly #headers = new HeaderCodec();
  readonly #streams = new Map<number, SpdyStream>();
  /** Writes of streams that wait for room, in the order in which they came. */
  readonly #turns: (() => void)[] = [];
  #lastStream = 0;
  #lastPing = 0;
  #closing = false;

  /** `head`: bytes that came behind the request. */
  constructor(socket: Duplex, head: Buffer, options: SpdyOptions) {
    this.#socket = socket;
    this.#options = options;
    socket.on('error', () => {});
    socket.once('close', () => {
      this.#headers.close();
      for (const stream of this.#streams.values()) stream.destroy();
      for (const turn of this.#turns.splice(0)) turn();
      options.onClose();
    });
    socket.on('drain', () => {
      while (!socket.writableNeedDrain) {
        const turn = this.#turns.shift();
        if (!turn) return;
        turn();
      }
    });
    if (head.length > 0) socket.unshift(head);
    void this.#read();
  }

  /** Waits for what was written, then ends the connection. */
  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    const goAway = Buffer.alloc(8);
    goAway.writeUInt32BE(this.#lastStream);
    this.#sendControl(GOAWAY, goAway);
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** A peer that is gone is noticed by what is sent to it, even while nothing of its is read. */
  ping(): void {
    // A server's pings are even (draft 3.1, 2.6.5).
    this.#lastPing = (this.#lastPing + 2) & 0x7fff_fffe;
    const id = Buffer.alloc(4);
    id.writeUInt32BE(this.#lastPing);
    this.#sendControl(PING, id);
  }

  /** Streams take turns, so that however many there are no more than a piece waits in the connection. */
  sendData(stream: number, bytes: Buffer, isLast: boolean, done: (error?: Error | null) => void): void {
    const turn = () => this.#writeData(stream, bytes, isLast, done);
    if (this.#socket.writableNeedDrain) this.#turns.push(turn);
    else turn();
  }

  #writeData(stream: number, bytes: Buffer, isLast: boolean, done: (error?: Error | null) => void): void {
    if (!this.#socket.writable || !this.#streams.has(stream)) {
      done(new SpdyError('the connection or the stream is closed'));
      return;
    }
    const header = Buffer.alloc(FRAME_HEADER_BYTES);
    header.writeUInt32BE(stream);
    header.writeUInt32BE(bytes.length, 4);
    if (isLast) header[4] = FLAG_FIN;
    this.#socket.cork();
    this.#socket.write(header, bytes.length === 0 ? done : undefined);
    if (bytes.length > 0) this.#socket.write(bytes, done);
    this.#socket.uncork();
  }

  sendReset(stream: number, why: number): void {
    const reset = Buffer.alloc(8);
    reset.writeUInt32BE(stream);
    reset.writeUInt32BE(why, 4);
    this.#sendControl(RST_STREAM, reset);
  }

  forget(stream: number): void {
    this.#streams.delete(stream);
  }

  #sendControl(type: number, payload: Buffer, flags = 0): void {
    if (!this.#socket.writable) return;
    const header = Buffer.alloc(FRAME_HEADER_BYTES);
    header.writeUInt16BE(0x8000 | VERSION);
    header.writeUInt16BE(type, 2);
    header.writeUInt32BE(payload.length, 4);
    header[4] = flags;
    this.#socket.write(Buffer.concat([header, payload]));
  }

  async #read(): Promise<void> {
    const bytes = new ByteReader(this.#socket);
    try {
      for (;;) {
        const header = await bytes.take(FRAME_HEADER_BYTES);
        if (!header) break;
        if (this.#socket.writableLength > MOST_PENDING_BYTES) throw new SpdyError('the client reads nothing');
        const flags = header[4] as number;
        const length = header.readUIntBE(5, 3);
        if ((header[0] as number) & 0x80) await this.#control(header, flags, length, bytes);
        else await this.#data(header.readUInt32BE(), flags, length, bytes);
      }
      // The client ends its side alone when all is said.
      for (const stream of this.#streams.values()) stream.receiveEnd();
      this.close();
    } catch {
      this.destroy();
    }
  }

  async #data(id: number, flags: number, length: number, bytes: ByteReader): Promise<void> {
    const stream = this.#streams.get(id);
    for (let left = length; left > 0; ) {
      const piece = await bytes.some(left);
      if (!piece) throw new SpdyError('a frame ends early');
      left -= piece.length;
      await stream?.receive(piece);
    }
    if (flags & FLAG_FIN) stream?.receiveEnd();
  }

  async #control(header: Buffer, flags: number, length: number, bytes: ByteReader): Promise<void> {
    const version = header.readUInt16BE() & 0x7fff;
    const type = header.readUInt16BE(2);
    if (version !== VERSION) throw new SpdyError(`version ${version}`);
    if (length > MOST_CONTROL_BYTES) throw new SpdyError(`a frame of ${length} bytes`);
    const payload = length === 0 ? Buffer.alloc(0) : await bytes.take(length);
    if (!payload) throw new SpdyError('a frame ends early');
    switch (type) {
      case SYN_STREAM:
        return this.#open(payload, flags);
      // We open no streams; what is said of headers is read for the sake of the zlib context.
      case SYN_REPLY:
      case HEADERS:
        await this.#headers.decode(payload.subarray(4));
        return;
      case RST_STREAM:
        if (length >= 4) this.#streams.get(payload.readUInt32BE() & 0x7fff_ffff)?.destroy();
        return;
      case PING:
        // An even one is the answer to ours.
        if (length === 4 && payload.readUInt32BE() % 2 === 1) this.#sendControl(PING, payload);
        return;
      default:
      // SETTINGS, WINDOW_UPDATE, GOAWAY and what nobody knows change nothing here.
    }
  }

  async #open(payload: Buffer, flags: number): Promise<void> {
    // Stream, associated stream, priority and slot, then the headers.
    if (payload.length < 10) throw new SpdyError('a SYN_STREAM ends early');
    const id = payload.readUInt32BE() & 0x7fff_ffff;
    const headers = await this.#headers.decode(payload.subarray(10));
    if (id % 2 === 0 || id <= this.#lastStream) {
      this.sendReset(id, PROTOCOL_ERROR);
      return;
    }
    this.#lastStream = id;
    if (this.#closing || this.#streams.size >= this.#options.mostStreams) {
      this.sendReset(id, REFUSED_STREAM);
      return;
    }
    const stream = new SpdyStream(this, id, headers);
    this.#streams.set(id, stream);
    const streamId = Buffer.alloc(4);
    streamId.writeUInt32BE(id);
    this.#sendControl(SYN_REPLY, Buffer.concat([streamId, await this.#headers.encode(new Map())]));
    if (flags & FLAG_FIN) stream.receiveEnd();
    this.#options.onStream(stream);
  }
}

/** Bytes of a stream on demand: what is not asked for is not read. */
class ByteReader {
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(stream: Duplex) {
    this.#chunks = stream.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>;
  }

  /** From one byte up to `most`; undefined at the end. */
  async some(most: number): Promise<Buffer | undefined> {
    if (this.#rest.length === 0) {
      const { value, done } = await this.#chunks.next();
      if (done) return undefined;
      this.#rest = value;
    }
    const piece = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(piece.length);
    return piece;
  }

  /** So many, or undefined where the stream ends before. */
  async take(count: number): Promise<Buffer | undefined> {
    const first = await this.some(count);
    if (!first || first.length === count) return first;
    const pieces = [first];
    for (let bytes = first.length; bytes < count; ) {
      const piece = await this.some(count - bytes);
      if (!piece) return undefined;
      pieces.push(piece);
      bytes += piece.length;
    }
    return Buffer.concat(pieces);
  }
}
