/**
 * Capture files, pcapng (draft-ietf-opsawg-pcapng): read in either byte order, written in the machine's usual one with
 * nanosecond times. Any bytes may be given to the reader: what does not fit is a CaptureError naming the byte.
 *
 *   block   | type 4 | total length 4 | body, padded to 4 | total length 4 |
 *   option  | code 2 | length 2 | value, padded to 4 |        code 0 ends the list
 */

/** Values of CaptureInterface.linkType: a packet that starts with its IP header, or with an Ethernet header. */
export const LINK_TYPE = { ethernet: 1, raw: 101 } as const;

export interface CaptureInterface {
  name: string;
  linkType: number;
}

export interface CapturePacket {
  /** Index into the capture's interfaces. */
  interfaceId: number;
  /** Nanoseconds since 1970. */
  timeNs: bigint;
  bytes: Uint8Array;
  /** Bytes the packet had; more than `bytes` when the capture cut it. */
  originalBytes: number;
  direction?: 'in' | 'out';
  comments: string[];
}

export interface Capture {
  interfaces: CaptureInterface[];
  packets: CapturePacket[];
}

/** A file that is no capture, or a damaged one. */
export class CaptureError extends Error {
  readonly code = 'ERR_CAPTURE';
  /** Byte of the file where it went wrong. */
  readonly offset: number;

  constructor(offset: number, problem: string) {
    super(`capture, byte ${offset}: ${problem}`);
    this.name = 'CaptureError';
    this.offset = offset;
  }
}

const BLOCK = { section: 0x0a0d0d0a, interface: 1, simplePacket: 3, enhancedPacket: 6 } as const;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
/** The same in the other byte order. */
const SWAPPED_MAGIC = 0x4d3c2b1a;
/** The older format's magic numbers, for micro- and nanoseconds. */
const CLASSIC_MAGIC = [0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1];
const OPTION = {
  end: 0,
  comment: 1,
  interfaceName: 2,
  packetFlags: 2,
  application: 4,
  resolution: 9,
  offset: 14,
} as const;
/** Bits 0 and 1 of packetFlags. */
const DIRECTION_IN = 1;
const DIRECTION_OUT = 2;
const MICROSECONDS = 6;
const NANOSECONDS = 9;
const NS_PER_SECOND = 1_000_000_000n;

interface OpenInterface extends CaptureInterface {
  snapBytes: number;
  ticksPerSecond: bigint;
  offsetNs: bigint;
}

/** Reads a whole capture; blocks of unknown types are passed over. Throws CaptureError. */
export function readCapture(file: Uint8Array): Capture {
  return new Reader(file).read();
}

class Reader {
  readonly #file: Uint8Array;
  readonly #view: DataView;
  readonly #interfaces: OpenInterface[] = [];
  readonly #packets: CapturePacket[] = [];
  #little = true;
  /** First interface of the current section; each section counts its own from 0. */
  #firstInterface = 0;

  constructor(file: Uint8Array) {
    // A Buffer's slice would share its bytes.
    this.#file = new Uint8Array(file.buffer, file.byteOffset, file.byteLength);
    this.#view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  }

  read(): Capture {
    if (this.#file.length < 12) throw new CaptureError(0, 'too short for a capture');
    const magic = this.#view.getUint32(0);
    if (CLASSIC_MAGIC.includes(magic)) throw new CaptureError(0, 'classic pcap: convert it (editcap -F pcapng)');
    if (magic !== BLOCK.section) throw new CaptureError(0, 'no pcapng file: it starts with no section header');
    for (let at = 0; at < this.#file.length; ) at = this.#block(at);
    const interfaces = this.#interfaces.map(({ name, linkType }) => ({ name, linkType }));
    return { interfaces, packets: this.#packets };
  }

  /** Reads the block at `at`; returns where the next one starts. */
  #block(at: number): number {
    const left = this.#file.length - at;
    if (left < 12) throw new CaptureError(at, `${left} bytes left, too few for a block`);
    // The section header's type reads the same in both orders; what follows tells which it is.
    if (this.#view.getUint32(at) === BLOCK.section) this.#byteOrder(at);
    const type = this.#u32(at);
    const length = this.#u32(at + 4);
    if (length < 12 || length % 4 !== 0) throw new CaptureError(at + 4, `block length ${length}`);
    if (length > left) throw new CaptureError(at + 4, `block of ${length} bytes, ${left} left`);
    const end = at + length - 4;
    const trailer = this.#u32(end);
    if (trailer !== length) throw new CaptureError(end, `block length ${length} in front, ${trailer} behind`);
    const body = at + 8;
    if (type === BLOCK.section) this.#section(body, end);
    else if (type === BLOCK.interface) this.#interface(body, end);
    else if (type === BLOCK.enhancedPacket) this.#enhancedPacket(body, end);
    else if (type === BLOCK.simplePacket) this.#simplePacket(body, end);
    return at + length;
  }

  #byteOrder(at: number): void {
    const magic = this.#view.getUint32(at + 8);
    if (magic !== BYTE_ORDER_MAGIC && magic !== SWAPPED_MAGIC) {
      throw new CaptureError(at + 8, `byte-order magic 0x${magic.toString(16)}`);
    }
    this.#little = magic === SWAPPED_MAGIC;
  }

  #section(body: number, end: number): void {
    this.#need(body, end, 16, 'section header');
    const major = this.#u16(body + 4);
    if (major !== 1) throw new CaptureError(body + 4, `pcapng version ${major}, only 1 is known`);
    this.#firstInterface = this.#interfaces.length;
  }

  #interface(body: number, end: number): void {
    this.#need(body, end, 8, 'interface');
    const found: OpenInterface = {
      name: '',
      linkType: this.#u16(body),
      snapBytes: this.#u32(body + 4),
      ticksPerSecond: 10n ** BigInt(MICROSECONDS),
      offsetNs: 0n,
    };
    this.#options(body + 8, end, (code, at, length) => {
      if (code === OPTION.interfaceName) found.name = this.#text(at, length);
      if (code === OPTION.resolution && length >= 1) {
        const resolution = this.#file[at];
        found.ticksPerSecond = (resolution & 0x80 ? 2n : 10n) ** BigInt(resolution & 0x7f);
      }
      if (code === OPTION.offset && length >= 8) {
        found.offsetNs = this.#view.getBigInt64(at, this.#little) * NS_PER_SECOND;
      }
    });
    this.#interfaces.push(found);
  }

  #enhancedPacket(body: number, end: number): void {
    this.#need(body, end, 20, 'packet');
    const id = this.#u32(body);
    const from = this.#interfaces[this.#firstInterface + id];
    if (!from) throw new CaptureError(body, `packet of interface ${id}, which the section does not describe`);
    const ticks = (BigInt(this.#u32(body + 4)) << 32n) | BigInt(this.#u32(body + 8));
    const captured = this.#u32(body + 12);
    const data = body + 20;
    if (captured > end - data) throw new CaptureError(body + 12, `packet of ${captured} bytes, ${end - data} left`);
    const packet: CapturePacket = {
      interfaceId: this.#firstInterface + id,
      timeNs: (ticks * NS_PER_SECOND) / from.ticksPerSecond + from.offsetNs,
      bytes: this.#file.slice(data, data + captured),
      originalBytes: this.#u32(body + 16),
      comments: [],
    };
    this.#options(data + padded(captured), end, (code, at, length) => {
      if (code === OPTION.comment) packet.comments.push(this.#text(at, length));
      if (code === OPTION.packetFlags && length >= 4) {
        const direction = this.#u32(at) & 3;
        if (direction === DIRECTION_IN) packet.direction = 'in';
        if (direction === DIRECTION_OUT) packet.direction = 'out';
      }
    });
    this.#packets.push(packet);
  }

  /** No time, no options, always the section's first interface, cut where that cuts. */
  #simplePacket(body: number, end: number): void {
    this.#need(body, end, 4, 'simple packet');
    const from = this.#interfaces[this.#firstInterface];
    if (!from) throw new CaptureError(body, 'packet in a section that describes no interface');
    const originalBytes = this.#u32(body);
    const data = body + 4;
    const captured = Math.min(originalBytes, from.snapBytes || originalBytes);
    if (captured > end - data) throw new CaptureError(body, `packet of ${captured} bytes, ${end - data} left`);
    const bytes = this.#file.slice(data, data + captured);
    this.#packets.push({ interfaceId: this.#firstInterface, timeNs: 0n, bytes, originalBytes, comments: [] });
  }

  #options(from: number, end: number, found: (code: number, at: number, length: number) => void): void {
    let at = from;
    while (end - at >= 4) {
      const code = this.#u16(at);
      const length = this.#u16(at + 2);
      if (code === OPTION.end) return;
      if (length > end - at - 4)
        throw new CaptureError(at + 2, `option ${code} of ${length} bytes, ${end - at - 4} left`);
      found(code, at + 4, length);
      at += 4 + padded(length);
    }
  }

  #need(body: number, end: number, bytes: number, what: string): void {
    if (end - body < bytes) throw new CaptureError(body, `${what} of ${end - body} bytes, needs ${bytes}`);
  }

  #text(at: number, length: number): string {
    return new TextDecoder().decode(this.#file.subarray(at, at + length));
  }

  #u16(at: number): number {
    return this.#view.getUint16(at, this.#little);
  }

  #u32(at: number): number {
    return this.#view.getUint32(at, this.#little);
  }
}

/** Writes a capture as it happens: every block goes to the sink at once, the section header from the constructor. */
export class CaptureWriter {
  readonly #sink: (block: Uint8Array) => void;
  #interfaces = 0;

  /** `sink` takes one whole block after another, for a file or an array. */
  constructor(sink: (block: Uint8Array) => void) {
    this.#sink = sink;
    const body = new Uint8Array(16);
    const view = new DataView(body.buffer);
    view.setUint32(0, BYTE_ORDER_MAGIC, true);
    view.setUint16(4, 1, true);
    // Section length: not known.
    view.setBigInt64(8, -1n, true);
    this.#block(BLOCK.section, [body, option(OPTION.application, text('weft')), endOfOptions()]);
  }

  /** Describes one more interface; returns the id that its packets carry. */
  addInterface(of: CaptureInterface): number {
    const body = new Uint8Array(8);
    new DataView(body.buffer).setUint16(0, of.linkType, true);
    const name = option(OPTION.interfaceName, text(of.name));
    const resolution = option(OPTION.resolution, Uint8Array.of(NANOSECONDS));
    this.#block(BLOCK.interface, [body, name, resolution, endOfOptions()]);
    return this.#interfaces++;
  }

  packet(p: CapturePacket): void {
    if (p.interfaceId < 0 || p.interfaceId >= this.#interfaces) {
      throw new RangeError(`interface ${p.interfaceId} was not added to the capture`);
    }
    const body = new Uint8Array(20 + padded(p.bytes.length));
    const view = new DataView(body.buffer);
    view.setUint32(0, p.interfaceId, true);
    view.setUint32(4, Number((p.timeNs >> 32n) & 0xffffffffn), true);
    view.setUint32(8, Number(p.timeNs & 0xffffffffn), true);
    view.setUint32(12, p.bytes.length, true);
    view.setUint32(16, p.originalBytes, true);
    body.set(p.bytes, 20);
    const parts = [body, ...p.comments.map((c) => option(OPTION.comment, text(c)))];
    if (p.direction) {
      const flags = new Uint8Array([p.direction === 'in' ? DIRECTION_IN : DIRECTION_OUT, 0, 0, 0]);
      parts.push(option(OPTION.packetFlags, flags));
    }
    if (parts.length > 1) parts.push(endOfOptions());
    this.#block(BLOCK.enhancedPacket, parts);
  }

  #block(type: number, parts: readonly Uint8Array[]): void {
    const length = 12 + parts.reduce((n, part) => n + part.length, 0);
    const block = new Uint8Array(length);
    const view = new DataView(block.buffer);
    view.setUint32(0, type, true);
    view.setUint32(4, length, true);
    let at = 8;
    for (const part of parts) {
      block.set(part, at);
      at += part.length;
    }
    view.setUint32(at, length, true);
    this.#sink(block);
  }
}

function padded(bytes: number): number {
  return (bytes + 3) & ~3;
}

/** At most what an option's 16-bit length can count. */
function text(value: string): Uint8Array {
  return new TextEncoder().encode(value).subarray(0, 0xffff);
}

function option(code: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + padded(value.length));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, code, true);
  view.setUint16(2, value.length, true);
  bytes.set(value, 4);
  return bytes;
}

function endOfOptions(): Uint8Array {
  return new Uint8Array(4);
}
