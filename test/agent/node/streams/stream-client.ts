/** A client's side of the streams, in memory: connections, and frames of SPDY made by hand. */
import { Duplex } from 'node:stream';
import type { HeaderCodec } from '../../../../src/agent/node/streams/spdy-headers.ts';
import type { Random } from '../../../dataplane/random.ts';

export const RST_STREAM = 3;

/** Two ends of one connection. What is written to a full end waits. */
export function connectionPair(): [Duplex, Duplex] {
  class End extends Duplex {
    other: End | undefined;
    #wake: (() => void) | undefined;

    override _read(): void {
      const wake = this.#wake;
      this.#wake = undefined;
      wake?.();
    }

    override _write(bytes: Buffer, _: BufferEncoding, done: () => void): void {
      const { other } = this;
      if (!other || other.destroyed || other.push(bytes)) done();
      else other.#wake = done;
    }

    override _final(done: () => void): void {
      if (!this.other?.destroyed) this.other?.push(null);
      done();
    }

    override _destroy(error: Error | null, done: (error: Error | null) => void): void {
      this._read();
      if (this.other && !this.other.destroyed) setImmediate(() => this.other?.destroy());
      done(error);
    }
  }
  const [a, b] = [new End(), new End()];
  a.other = b;
  b.other = a;
  for (const end of [a, b]) end.on('error', () => {});
  return [a, b];
}

export function controlFrame(type: number, payload: Buffer, flags = 0, version = 3): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(0x8000 | version);
  header.writeUInt16BE(type, 2);
  header.writeUInt32BE(payload.length, 4);
  header[4] = flags;
  return Buffer.concat([header, payload]);
}

export function dataFrame(stream: number, bytes: Buffer, flags = 0): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt32BE(stream);
  header.writeUInt32BE(bytes.length, 4);
  header[4] = flags;
  return Buffer.concat([header, bytes]);
}

/** SYN_STREAM. Frames must be sent in the order in which they were made: they share a zlib context. */
export async function openFrame(
  codec: HeaderCodec,
  stream: number,
  headers: Readonly<Record<string, string>>,
): Promise<Buffer> {
  const head = Buffer.alloc(10);
  head.writeUInt32BE(stream);
  return controlFrame(1, Buffer.concat([head, await codec.encode(new Map(Object.entries(headers)))]));
}

export interface Frame {
  /** Undefined for data. */
  type: number | undefined;
  stream: number;
  isLast: boolean;
  payload: Buffer;
}

/** Whole frames of what a server said. */
export function parseFrames(bytes: Buffer): Frame[] {
  const frames: Frame[] = [];
  for (let at = 0; at + 8 <= bytes.length; ) {
    const length = bytes.readUIntBE(at + 5, 3);
    const payload = bytes.subarray(at + 8, at + 8 + length);
    const isControl = ((bytes[at] as number) & 0x80) !== 0;
    frames.push({
      type: isControl ? bytes.readUInt16BE(at + 2) : undefined,
      stream: isControl ? (payload.length >= 4 ? payload.readUInt32BE() : 0) : bytes.readUInt32BE(at),
      isLast: bytes[at + 4] === 1,
      payload,
    });
    at += 8 + length;
  }
  return frames;
}

export function randomBytes(random: Random, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random.below(256)));
}

/** Mostly a stream that opens, the `i`-th of its connection, with these headers; else data or control of any kind. */
export async function randomFrame(
  random: Random,
  codec: HeaderCodec,
  i: number,
  headers: () => Record<string, string>,
): Promise<Buffer> {
  switch (random.below(7)) {
    case 0:
      return dataFrame(random.below(2 * i + 2), randomBytes(random, random.below(300)), random.below(2));
    case 1:
      return controlFrame(random.below(10), randomBytes(random, random.below(40)), random.below(4));
    case 2:
      return controlFrame(RST_STREAM, Buffer.from([0, 0, 0, random.below(12), 0, 0, 0, 5]));
    default:
      return openFrame(codec, 2 * i + 1, headers());
  }
}

/** One in two stays as it is; of the others some bytes are changed, left out or repeated. */
export function mutated(random: Random, bytes: Buffer): Buffer {
  if (bytes.length === 0 || random.chance(0.5)) return bytes;
  const copy = Buffer.from(bytes);
  for (let i = random.below(4); i >= 0; i--) copy[random.below(copy.length)] = random.below(256);
  if (random.chance(0.75)) return copy;
  return Buffer.concat([copy.subarray(0, random.below(copy.length)), copy.subarray(random.below(copy.length))]);
}
