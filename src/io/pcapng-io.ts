/**
 * A capture as ports: replays what a file holds into the dataplane and records what the dataplane received and sent
 * into a new one, so that a fault seen once can be looked at again, without devices or root. The clock is the
 * capture's own: waiting moves it to the next packet's time.
 *
 * A TUN's packets start with their IP header. An overlay socket's are recorded with the outer IPv4 and UDP headers
 * that its kernel would put in front, so that any tool decodes them; on replay these (and Ethernet in front of them,
 * as in a capture of a real underlay) come off again. What a device knows beside the bytes travels as a comment.
 */
import { isV4, type Words, word4, wordsFrom4 } from '../wire/address.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as udp from '../wire/udp.ts';
import { MemoryIo, type PacketMeta, type SentPacket } from './memory-io.ts';
import type { PacketIo } from './packet-io.ts';
import { type CapturePacket, CaptureWriter, LINK_TYPE, readCapture } from './pcapng.ts';
import { GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, type PacketVector } from './vector.ts';

/** A port of the replay: the interface of that name in the capture, if there is one, and in the recording. */
export interface CapturePort {
  id: number;
  interfaceName: string;
  kind: 'tun' | 'udp' | 'tap';
  /** Of a udp port: our own outer IPv4 address; only datagrams to it are received. */
  address?: Words;
  /** Of a udp port: its number, 4789 by default. */
  udpPort?: number;
}

export interface PcapngIoOptions {
  /** The capture to replay; nothing is received without one. */
  replay?: Uint8Array;
  ports: readonly CapturePort[];
  /** Takes the recording block by block. */
  record?: (block: Uint8Array) => void;
}

const OUTER_BYTES = ipv4.HEADER_BYTES + udp.HEADER_BYTES;
const DEFAULT_UDP_PORT = 4789;
const NS_PER_MS = 1_000_000n;
/** Packets that are handed to a vector at once when they bear nearly the same time. */
const BURST_PACKETS = 256;
const BURST_NS = NS_PER_MS;
const MASK_64 = 0xffffffffffffffffn;

interface Arrival {
  port: CapturePort;
  timeNs: bigint;
  bytes: Uint8Array;
  meta: PacketMeta;
}

export class PcapngIo implements PacketIo {
  readonly #ports: ReadonlyMap<number, CapturePort>;
  readonly #memory: MemoryIo;
  readonly #arrivals: Arrival[] = [];
  readonly #writer: CaptureWriter | undefined;
  readonly #interfaceIds = new Map<number, number>();
  readonly #startNs: bigint;
  #next = 0;
  /** Packets of the capture that no port takes: other interfaces, other addresses, outbound or cut ones. */
  readonly skipped: number = 0;

  /** Throws CaptureError when the capture cannot be read. */
  constructor(options: PcapngIoOptions) {
    this.#ports = new Map(options.ports.map((p) => [p.id, p]));
    const overlayPorts = options.ports.filter((p) => p.kind === 'udp').map((p) => p.id);
    this.#memory = new MemoryIo({ overlayPorts });
    if (options.replay) {
      const { interfaces, packets } = readCapture(options.replay);
      for (const packet of packets) {
        const from = interfaces[packet.interfaceId];
        const port = options.ports.find((p) => p.interfaceName === from.name);
        const arrival = port && arrivalOf(port, packet, from.linkType);
        if (arrival) this.#arrivals.push(arrival);
        else this.skipped++;
      }
      // Several interfaces' packets may be written out of order.
      this.#arrivals.sort((a, b) => (a.timeNs < b.timeNs ? -1 : a.timeNs > b.timeNs ? 1 : 0));
    }
    this.#startNs = this.#arrivals[0]?.timeNs ?? 0n;
    if (options.record) {
      this.#writer = new CaptureWriter(options.record);
      for (const p of options.ports) {
        const linkType = p.kind === 'tap' ? LINK_TYPE.ethernet : LINK_TYPE.raw;
        this.#interfaceIds.set(p.id, this.#writer.addInterface({ name: p.interfaceName, linkType }));
      }
    }
  }

  /** Milliseconds since the capture's first packet. */
  get nowMs(): number {
    return this.#memory.nowMs;
  }

  /** True once every packet of the capture has been received. */
  get done(): boolean {
    return this.#next === this.#arrivals.length && this.#memory.waiting === 0;
  }

  exchange(vector: PacketVector, timeoutMs: number): number {
    const left = this.#memory.exchange(vector, 0);
    for (const p of this.#memory.sent()) this.#recordSent(p);
    if (left > 0) return left;
    // Only now: what was sent was sent before the wait.
    this.#admit(timeoutMs);
    return this.#memory.exchange(vector, timeoutMs);
  }

  close(): void {
    this.#memory.close();
    this.#next = this.#arrivals.length;
  }

  /** Moves the clock to the next packet's time if that is within the wait, and lets in what comes about then. */
  #admit(timeoutMs: number): void {
    const first = this.#arrivals[this.#next];
    if (!first) return;
    const dueMs = Number(first.timeNs - this.#startNs) / Number(NS_PER_MS);
    if (timeoutMs >= 0 && dueMs > this.nowMs + timeoutMs) return;
    this.#memory.nowMs = Math.max(this.nowMs, dueMs);
    for (let n = 0; n < BURST_PACKETS; n++) {
      const a = this.#arrivals[this.#next];
      if (!a || a.timeNs - first.timeNs > BURST_NS) return;
      this.#memory.inject(a.port.id, a.bytes, a.meta);
      this.#record(a.port, a.bytes, a.meta, 'in', a.timeNs);
      this.#next++;
    }
  }

  #recordSent(p: SentPacket): void {
    const port = this.#ports.get(p.port);
    const now = this.#startNs + BigInt(Math.round(this.nowMs * Number(NS_PER_MS)));
    if (port) this.#record(port, p.bytes, p, 'out', now);
  }

  #record(port: CapturePort, payload: Uint8Array, meta: PacketMeta, direction: 'in' | 'out', timeNs: bigint): void {
    const interfaceId = this.#interfaceIds.get(port.id);
    if (!this.#writer || interfaceId === undefined) return;
    const bytes = port.kind === 'udp' ? withOuterHeaders(port, payload, meta, direction) : payload;
    const comments = metaComment(meta);
    const originalBytes = port.kind === 'udp' ? OUTER_BYTES + payload.length : payload.length;
    this.#writer.packet({ interfaceId, timeNs: timeNs & MASK_64, bytes, originalBytes, direction, comments });
  }
}

/** What a port receives of a captured packet, or undefined when it does not take it. */
function arrivalOf(port: CapturePort, packet: CapturePacket, linkType: number): Arrival | undefined {
  const { bytes, timeNs } = packet;
  if (packet.direction === 'out' || packet.originalBytes > bytes.length) return undefined;
  // Longer than any packet of an Internet protocol: nothing that a device would have delivered.
  if (bytes.length > 0xffff + ethernet.HEADER_BYTES) return undefined;
  const l3 = linkType === LINK_TYPE.ethernet ? ethernet.HEADER_BYTES : 0;
  if (linkType !== LINK_TYPE.ethernet && linkType !== LINK_TYPE.raw) return undefined;
  if (port.kind === 'tap') return l3 > 0 ? { port, timeNs, bytes, meta: {} } : undefined;
  if (bytes.length < l3) return undefined;
  if (port.kind === 'tun') {
    const packetBytes = bytes.subarray(l3);
    return { port, timeNs, bytes: packetBytes, meta: readMetaComment(packet.comments, packetBytes.length) };
  }

  if (!ipv4.check(bytes, l3, bytes.length) || ipv4.protocol(bytes, l3) !== ipv4.PROTOCOL.udp) return undefined;
  const l4 = l3 + ipv4.headerBytes(bytes, l3);
  if (ipv4.isFragment(bytes, l3) || !udp.check(bytes, l4, l3 + ipv4.totalBytes(bytes, l3))) return undefined;
  if (port.address && ipv4.destination(bytes, l3) !== word4(port.address)) return undefined;
  if (udp.destinationPort(bytes, l4) !== (port.udpPort ?? DEFAULT_UDP_PORT)) return undefined;
  const peer = wordsFrom4(ipv4.source(bytes, l3));
  const payload = bytes.subarray(l4 + udp.HEADER_BYTES, l4 + udp.lengthBytes(bytes, l4));
  const meta = readMetaComment(packet.comments, payload.length);
  return { port, timeNs, bytes: payload, meta: { ...meta, peer, peerPort: udp.sourcePort(bytes, l4) } };
}

/** The datagram as it is on the underlay; a super-packet too long for its length field is cut there. */
function withOuterHeaders(port: CapturePort, payload: Uint8Array, meta: PacketMeta, way: 'in' | 'out'): Uint8Array {
  const bytes = new Uint8Array(Math.min(OUTER_BYTES + payload.length, 0xffff));
  bytes.set(payload.subarray(0, bytes.length - OUTER_BYTES), OUTER_BYTES);
  const own = port.address ? word4(port.address) : 0;
  const far = meta.peer && isV4(meta.peer) ? word4(meta.peer) : 0;
  const [source, destination] = way === 'in' ? [far, own] : [own, far];
  const ownPort = port.udpPort ?? DEFAULT_UDP_PORT;
  const farPort = meta.peerPort || DEFAULT_UDP_PORT;
  const [fromPort, toPort] = way === 'in' ? [farPort, ownPort] : [ownPort, farPort];
  ipv4.writeHeader(bytes, 0, { totalBytes: bytes.length, protocol: ipv4.PROTOCOL.udp, source, destination });
  udp.writeHeader(bytes, ipv4.HEADER_BYTES, fromPort, toPort, bytes.length - ipv4.HEADER_BYTES);
  return bytes;
}

const GSO_TYPES = [GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4];
const COMMENT = /^weft flags=(\d{1,3}) gso=(\d{1,3})\/(\d{1,5}) checksum=(\d{1,5})\+(\d{1,5})$/;

function metaComment(m: PacketMeta): string[] {
  if (!m.flags && !m.gsoType) return [];
  const gso = `${m.gsoType ?? 0}/${m.gsoSize ?? 0}`;
  return [`weft flags=${m.flags ?? 0} gso=${gso} checksum=${m.checksumStart ?? 0}+${m.checksumOffset ?? 0}`];
}

/** What a comment of ours says; nothing when it cannot be so: a device never points past the packet. */
function readMetaComment(comments: readonly string[], lengthBytes: number): PacketMeta {
  for (const comment of comments) {
    const match = COMMENT.exec(comment);
    if (!match) continue;
    const [flags, gsoType, gsoSize, checksumStart, checksumOffset] = match.slice(1).map(Number);
    if (checksumStart + checksumOffset + 2 > lengthBytes || gsoSize > 0xffff) continue;
    if (gsoType === GSO_NONE ? gsoSize > 0 : !GSO_TYPES.includes(gsoType) || gsoSize === 0) continue;
    return { flags, gsoType, gsoSize, checksumStart, checksumOffset };
  }
  return {};
}
