/**
 * What the fast versions are measured against: the same answers in the fewest words, as one would write them first.
 */

/** RFC 1071, one word after another. */
export function checksum(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let sum = 0;
  for (let i = 0; i + 1 < bytes.length; i += 2) {
    sum += view.getUint16(i);
    if (sum > 0xffff) sum -= 0xffff;
  }
  if (bytes.length % 2 === 1) sum += view.getUint8(bytes.length - 1) << 8;
  if (sum > 0xffff) sum -= 0xffff;
  return ~sum & 0xffff;
}

/** Connections by what they say. */
export class Flows {
  readonly #flows = new Map<string, number>();

  set(source: number, sourcePort: number, destination: number, destinationPort: number, value: number): void {
    this.#flows.set(`${source}:${sourcePort}-${destination}:${destinationPort}`, value);
  }

  get(source: number, sourcePort: number, destination: number, destinationPort: number): number | undefined {
    return this.#flows.get(`${source}:${sourcePort}-${destination}:${destinationPort}`);
  }
}

export interface Prefix {
  address: number;
  bits: number;
  value: number;
}

/** The longest prefix that covers an address, by looking at all of them. */
export function longestPrefix(prefixes: readonly Prefix[], address: number): number {
  let best: Prefix | undefined;
  for (const prefix of prefixes) {
    const mask = prefix.bits === 0 ? 0 : -1 << (32 - prefix.bits);
    if ((address & mask) === (prefix.address & mask) && (!best || prefix.bits > best.bits)) best = prefix;
  }
  return best ? best.value : -1;
}

/** Cuts a TCP packet (IP header at `l3`, no options) into packets of `size` payload bytes each. */
export function segment(packet: Buffer, l3: number, size: number): Buffer[] {
  const headers = packet.subarray(0, l3 + 40);
  const payload = packet.subarray(l3 + 40);
  const segments: Buffer[] = [];
  for (let at = 0; at < payload.length; at += size) {
    const part = Buffer.concat([headers, payload.subarray(at, at + size)]);
    part.writeUInt16BE(part.length - l3, l3 + 2);
    part.writeUInt16BE(headers.readUInt16BE(l3 + 4) + segments.length, l3 + 4);
    part.writeUInt32BE(headers.readUInt32BE(l3 + 24) + at, l3 + 24);
    part.writeUInt16BE(0, l3 + 10);
    part.writeUInt16BE(checksum(part.subarray(l3, l3 + 20)), l3 + 10);
    part.writeUInt16BE(0, l3 + 36);
    part.writeUInt16BE(tcpChecksum(part.subarray(l3)), l3 + 36);
    segments.push(part);
  }
  return segments;
}

/** Joins segments of one TCP stream that follow each other: one packet of them all, or undefined. */
export function coalesce(segments: readonly Buffer[], l3: number): Buffer | undefined {
  const [first] = segments;
  if (!first) return undefined;
  let next = first.readUInt32BE(l3 + 24);
  for (const s of segments) {
    const sameConnection = s.subarray(l3 + 12, l3 + 24).equals(first.subarray(l3 + 12, l3 + 24));
    if (!sameConnection || s.readUInt32BE(l3 + 24) !== next || tcpChecksum(s.subarray(l3)) !== 0) return undefined;
    next += s.length - l3 - 40;
  }
  const whole = Buffer.concat([first, ...segments.slice(1).map((s) => s.subarray(l3 + 40))]);
  whole.writeUInt16BE(whole.length - l3, l3 + 2);
  return whole;
}

/** 0 where the packet's own checksum is right. */
function tcpChecksum(ip: Buffer): number {
  const pseudo = Buffer.alloc(12);
  ip.copy(pseudo, 0, 12, 20);
  pseudo.writeUInt16BE(6, 8);
  pseudo.writeUInt16BE(ip.length - 20, 10);
  return checksum(Buffer.concat([pseudo, ip.subarray(20)]));
}
