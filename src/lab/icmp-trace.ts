/**
 * Which hosts a packet passes: ICMP echoes with growing TTL and who answers them (RFC 792, RFC 4443), over a raw
 * socket. For
 * places without traceroute; raw-socket is optional, so the caller must be ready for its absence.
 */
import type { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';
import { isIPv6 } from 'node:net';
import { ECHO_4, ECHO_6, type EchoFamily, echoRequest } from '../agent/host/echo-socket.ts';

interface RawSocket extends EventEmitter {
  send(bytes: Buffer, offset: number, length: number, address: string, before: () => void, after: () => void): void;
  setOption(level: number, option: number, value: number): void;
  close(): void;
}

interface TraceFamily {
  echo: EchoFamily;
  unreachable: number;
  timeExceeded: number;
  /** linux/in.h, linux/in6.h: level and option of the time to live. */
  ttl: readonly [level: number, option: number];
}
const TRACE_4: TraceFamily = { echo: ECHO_4, unreachable: 3, timeExceeded: 11, ttl: [0, 2] };
export const TRACE_6: TraceFamily = { echo: ECHO_6, unreachable: 1, timeExceeded: 3, ttl: [41, 16] };
const ERROR_BYTES = 8;
const MAX_HOPS = 16;

export interface Hop {
  /** Absent where nobody answered. */
  address?: string;
  ms?: number;
}

/** Hops up to the target, or up to where the way ends. */
export async function traceRoute(target: string, timeoutMs = 1000): Promise<Hop[]> {
  const raw = createRequire(import.meta.url)('raw-socket') as {
    createSocket(options: { protocol: number; addressFamily: number }): RawSocket;
  };
  const family = isIPv6(target) ? TRACE_6 : TRACE_4;
  const { protocol, addressFamily } = family.echo;
  const socket = raw.createSocket({ protocol, addressFamily });
  socket.on('error', () => {});
  const id = process.pid & 0xffff;
  const hops: Hop[] = [];
  try {
    for (let ttl = 1; ttl <= MAX_HOPS; ttl++) {
      const { hop, last } = await askHop(socket, family, target, { id, ttl, timeoutMs });
      hops.push(hop);
      if (last) break;
    }
  } finally {
    socket.close();
  }
  return hops;
}

function askHop(
  socket: RawSocket,
  family: TraceFamily,
  target: string,
  { id, ttl, timeoutMs }: { id: number; ttl: number; timeoutMs: number },
): Promise<{ hop: Hop; last: boolean }> {
  return new Promise((done) => {
    const began = performance.now();
    const finish = (hop: Hop, last: boolean): void => {
      clearTimeout(timer);
      socket.off('message', hear);
      done({ hop, last });
    };
    const hear = (packet: Buffer, address: string): void => {
      const answer = readAnswer(packet, family);
      if (answer === undefined || answer.id !== id || answer.sequence !== ttl) return;
      finish({ address, ms: performance.now() - began }, answer.type !== family.timeExceeded);
    };
    const timer = setTimeout(() => finish({}, false), timeoutMs);
    socket.on('message', hear);
    const message = echoRequest(id, ttl, 64, family.echo);
    const setTtl = (): void => socket.setOption(...family.ttl, ttl);
    socket.send(message, 0, message.length, target, setTtl, () => {});
  });
}

/** An echo reply, or an error that quotes our echo; `packet` is a whole IPv4 packet, or an ICMPv6 message. */
export function readAnswer(
  packet: Buffer,
  family = TRACE_4,
): { type: number; id: number; sequence: number } | undefined {
  const header = family.echo.withHeader ? headerBytes(packet, 0, family) : 0;
  if (packet.length < header + ERROR_BYTES) return undefined;
  const type = packet[header] ?? 0;
  if (type === family.echo.reply) {
    return { type, id: packet.readUInt16BE(header + 4), sequence: packet.readUInt16BE(header + 6) };
  }
  if (type !== family.timeExceeded && type !== family.unreachable) return undefined;
  const quoted = header + ERROR_BYTES;
  const echo = quoted + headerBytes(packet, quoted, family);
  if (packet.length < echo + ERROR_BYTES) return undefined;
  return { type, id: packet.readUInt16BE(echo + 4), sequence: packet.readUInt16BE(echo + 6) };
}

function headerBytes(packet: Buffer, at: number, family: TraceFamily): number {
  return family === TRACE_4 ? ((packet[at] ?? 0) & 0xf) * 4 : family.echo.ipHeaderBytes;
}
