/**
 * A raw socket for ICMP echoes of one family (RFC 792, RFC 4443) with fragmentation forbidden: what the prober asks
 * with. raw-socket is an optional dependency and not made for several threads: it is loaded when first needed, here
 * only.
 */
import type { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';
import { AgentError } from '../agent-error.ts';

/** raw-socket has no types of its own; this is what is used of it. */
interface RawSocket extends EventEmitter {
  send(
    bytes: Buffer,
    offset: number,
    length: number,
    address: string,
    after: (error: Error | null, bytes: number) => void,
  ): void;
  setOption(level: number, option: number, value: number): void;
  close(): void;
}
interface RawSocketModule {
  /** addressFamily: 1 IPv4, 2 IPv6. */
  createSocket(options: { protocol: number; addressFamily: number; bufferSize: number }): RawSocket;
}

const ICMP_HEADER_BYTES = 8;
const MAX_PACKET = 65535;

export interface EchoFamily {
  addressFamily: number;
  protocol: number;
  request: number;
  reply: number;
  ipHeaderBytes: number;
  /** Whether what is received begins with the IP header. */
  withHeader: boolean;
  /** Every host takes packets of this size whole. */
  leastMtu: number;
  /** setsockopt(2) for "discover the path's MTU, and ignore what the kernel believes of it", linux/in.h, linux/in6.h. */
  discover: readonly [level: number, option: number, value: number];
}

export const ECHO_4: EchoFamily = {
  addressFamily: 1,
  protocol: 1,
  request: 8,
  reply: 0,
  ipHeaderBytes: 20,
  withHeader: true,
  leastMtu: 68,
  discover: [0, 10, 3],
};
export const ECHO_6: EchoFamily = {
  addressFamily: 2,
  protocol: 58,
  request: 128,
  reply: 129,
  ipHeaderBytes: 40,
  withHeader: false,
  leastMtu: 1280,
  discover: [41, 23, 3],
};

interface Waiting {
  sentAt: number;
  done: (rttMs: number | undefined) => void;
}

export class EchoSocket {
  readonly family: EchoFamily;
  readonly #socket: RawSocket;
  readonly #id = (process.pid ^ Math.floor(Math.random() * 0x10000)) & 0xffff;
  readonly #waiting = new Map<number, Waiting>();
  #sequence = 0;

  /** Throws an AgentError that says what is missing. */
  constructor(family: EchoFamily) {
    this.family = family;
    this.#socket = openSocket(family);
    this.#socket.on('message', (packet: Buffer) => this.#receive(packet));
    this.#socket.on('error', () => {});
  }

  /** One echo as an IP packet of that many bytes: its round trip in milliseconds, or undefined. */
  ask(address: string, packetBytes: number, timeoutMs: number): Promise<number | undefined> {
    this.#sequence = (this.#sequence + 1) & 0xffff;
    const sequence = this.#sequence;
    const bytes = Math.max(packetBytes - this.family.ipHeaderBytes, ICMP_HEADER_BYTES);
    const message = echoRequest(this.#id, sequence, bytes, this.family);
    return new Promise((resolve) => {
      const done = (rttMs: number | undefined) => {
        clearTimeout(timer);
        this.#waiting.delete(sequence);
        resolve(rttMs);
      };
      const timer = setTimeout(done, timeoutMs, undefined);
      this.#waiting.set(sequence, { sentAt: performance.now(), done });
      this.#socket.send(message, 0, message.length, address, (error) => {
        // EMSGSIZE from our own device, or no route: it is as lost as any other.
        if (error) done(undefined);
      });
    });
  }

  #receive(packet: Buffer): void {
    const reply = parseEchoReply(packet, this.family);
    if (!reply || reply.id !== this.#id) return;
    const waiting = this.#waiting.get(reply.sequence);
    waiting?.done(performance.now() - waiting.sentAt);
  }

  close(): void {
    for (const { done } of [...this.#waiting.values()]) done(undefined);
    this.#socket.close();
  }
}

function openSocket(family: EchoFamily): RawSocket {
  let raw: RawSocketModule;
  try {
    raw = createRequire(import.meta.url)('raw-socket') as RawSocketModule;
  } catch (error) {
    throw new AgentError(
      'no-raw-socket',
      'ICMP probes are not available: the optional package raw-socket is not built',
      'install g++, make and python3, then run npm rebuild raw-socket',
      error,
    );
  }
  try {
    const { protocol, addressFamily, discover } = family;
    const socket = raw.createSocket({ protocol, addressFamily, bufferSize: MAX_PACKET });
    socket.setOption(...(discover as [number, number, number]));
    return socket;
  } catch (error) {
    throw new AgentError(
      'no-raw-socket',
      `a raw ${family === ECHO_4 ? 'ICMP' : 'ICMPv6'} socket was refused`,
      'CAP_NET_RAW is needed: run it as root',
      error,
    );
  }
}

/** With its checksum; in ICMPv6 it counts the addresses too, and the kernel fills it in (RFC 3542, section 3.1). */
export function echoRequest(id: number, sequence: number, bytes: number, family = ECHO_4): Buffer {
  const message = Buffer.alloc(bytes);
  message[0] = family.request;
  message.writeUInt16BE(id, 4);
  message.writeUInt16BE(sequence, 6);
  let sum = 0;
  for (let i = 0; i + 1 < bytes; i += 2) sum += message.readUInt16BE(i);
  if (bytes & 1) sum += (message[bytes - 1] as number) << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  message.writeUInt16BE(~sum & 0xffff, 2);
  return message;
}

/** From what a raw socket delivers: a whole IPv4 packet, or an ICMPv6 message. */
export function parseEchoReply(packet: Buffer, family = ECHO_4): { id: number; sequence: number } | undefined {
  const headerBytes = family.withHeader ? ((packet[0] ?? 0) & 0xf) * 4 : 0;
  if (family.withHeader && headerBytes < family.ipHeaderBytes) return undefined;
  if (packet.length < headerBytes + ICMP_HEADER_BYTES || packet[headerBytes] !== family.reply) return undefined;
  return { id: packet.readUInt16BE(headerBytes + 4), sequence: packet.readUInt16BE(headerBytes + 6) };
}
