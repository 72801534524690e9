/**
 * Asks other hosts whether they answer, how fast, and how large a packet the path to them takes: ICMP echo (RFC 792)
 * over a raw socket with fragmentation forbidden. For the path MTU the largest wanted packet goes first; only when it
 * gets lost is the limit searched for by halves (RFC 4821 does the same from within a transport).
 *
 * raw-socket is an optional dependency and not made for several threads: it is loaded when first needed, here only.
 */

import type { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';
import { isIPv4 } from 'node:net';
import { AgentError } from './agent-error.ts';
import type { ProbeResult } from './status.ts';

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
  createSocket(options: { protocol: number; bufferSize: number }): RawSocket;
}

const ICMP = 1;
const ECHO_REPLY = 0;
const ECHO_REQUEST = 8;
const ICMP_HEADER_BYTES = 8;
const IP_HEADER_BYTES = 20;
/** linux/in.h: IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE: set DF, ignore what the kernel believes of the path. */
const IPPROTO_IP = 0;
const IP_MTU_DISCOVER = 10;
const IP_PMTUDISC_PROBE = 3;
/** Every IPv4 host takes this much (RFC 791). */
const LEAST_MTU = 68;
const MAX_PACKET = 65535;

export interface ProbeOptions {
  count: number;
  timeoutMs: number;
  /** Largest IP packet to try; undefined: do not look for the path's MTU. */
  wantedMtu?: number;
}

interface Waiting {
  sentAt: number;
  done: (rttMs: number | undefined) => void;
  timer: NodeJS.Timeout;
}

export class IcmpProber {
  readonly #socket: RawSocket;
  readonly #id: number;
  readonly #waiting = new Map<number, Waiting>();
  #sequence = 0;

  private constructor(socket: RawSocket) {
    this.#socket = socket;
    this.#id = (process.pid ^ Math.floor(Math.random() * 0x10000)) & 0xffff;
    socket.on('message', (packet: Buffer, source: string) => this.#receive(packet, source));
    socket.on('error', () => {});
  }

  /** Throws an AgentError that says what is missing. */
  static open(): IcmpProber {
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
      const socket = raw.createSocket({ protocol: ICMP, bufferSize: MAX_PACKET });
      socket.setOption(IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
      return new IcmpProber(socket);
    } catch (error) {
      throw new AgentError(
        'no-raw-socket',
        'a raw ICMP socket was refused',
        'CAP_NET_RAW is needed: run it as root',
        error,
      );
    }
  }

  async probe(address: string, options: ProbeOptions): Promise<ProbeResult> {
    const times: number[] = [];
    for (let i = 0; i < options.count; i++) {
      const rtt = await this.#echo(address, LEAST_MTU, options.timeoutMs);
      if (rtt !== undefined) times.push(rtt);
    }
    times.sort((a, b) => a - b);
    const reachable = times.length > 0;
    return {
      address,
      reachable,
      sent: options.count,
      received: times.length,
      rttMs: reachable
        ? { min: times[0] as number, median: times[times.length >> 1] as number, max: times.at(-1) as number }
        : undefined,
      pathMtu:
        reachable && options.wantedMtu ? await this.#pathMtu(address, options.wantedMtu, options.timeoutMs) : undefined,
    };
  }

  /** The largest packet up to `wanted` that is answered. */
  async #pathMtu(address: string, wanted: number, timeoutMs: number): Promise<number> {
    const passes = async (bytes: number) =>
      (await this.#echo(address, bytes, timeoutMs)) !== undefined ||
      (await this.#echo(address, bytes, timeoutMs)) !== undefined;
    if (await passes(wanted)) return wanted;
    let good = LEAST_MTU;
    let bad = wanted;
    while (bad - good > 1) {
      const middle = (good + bad) >> 1;
      if (await passes(middle)) good = middle;
      else bad = middle;
    }
    return good;
  }

  /** One echo as an IP packet of that many bytes: its round trip in milliseconds, or undefined. */
  #echo(address: string, packetBytes: number, timeoutMs: number): Promise<number | undefined> {
    if (!isIPv4(address)) return Promise.resolve(undefined);
    this.#sequence = (this.#sequence + 1) & 0xffff;
    const sequence = this.#sequence;
    const message = echoRequest(this.#id, sequence, Math.max(packetBytes - IP_HEADER_BYTES, ICMP_HEADER_BYTES));
    return new Promise((resolve) => {
      const done = (rttMs: number | undefined) => {
        clearTimeout(timer);
        this.#waiting.delete(sequence);
        resolve(rttMs);
      };
      const timer = setTimeout(done, timeoutMs, undefined);
      const waiting: Waiting = { sentAt: performance.now(), done, timer };
      this.#waiting.set(sequence, waiting);
      this.#socket.send(message, 0, message.length, address, (error) => {
        // EMSGSIZE from our own device, or no route: it is as lost as any other.
        if (error) done(undefined);
      });
    });
  }

  #receive(packet: Buffer, _source: string): void {
    const reply = parseEchoReply(packet);
    if (!reply || reply.id !== this.#id) return;
    const waiting = this.#waiting.get(reply.sequence);
    waiting?.done(performance.now() - waiting.sentAt);
  }

  close(): void {
    for (const { done } of [...this.#waiting.values()]) done(undefined);
    this.#socket.close();
  }
}

export function echoRequest(id: number, sequence: number, bytes: number): Buffer {
  const message = Buffer.alloc(bytes);
  message[0] = ECHO_REQUEST;
  message.writeUInt16BE(id, 4);
  message.writeUInt16BE(sequence, 6);
  let sum = 0;
  for (let i = 0; i + 1 < bytes; i += 2) sum += message.readUInt16BE(i);
  if (bytes & 1) sum += (message[bytes - 1] as number) << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  message.writeUInt16BE(~sum & 0xffff, 2);
  return message;
}

/** From a whole IPv4 packet, as a raw socket delivers it. */
export function parseEchoReply(packet: Buffer): { id: number; sequence: number } | undefined {
  const headerBytes = ((packet[0] ?? 0) & 0xf) * 4;
  if (headerBytes < IP_HEADER_BYTES || packet.length < headerBytes + ICMP_HEADER_BYTES) return undefined;
  if (packet[headerBytes] !== ECHO_REPLY) return undefined;
  return { id: packet.readUInt16BE(headerBytes + 4), sequence: packet.readUInt16BE(headerBytes + 6) };
}
