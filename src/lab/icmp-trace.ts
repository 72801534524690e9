/**
 * Which hosts a packet passes: ICMP echoes with growing TTL and who answers them (RFC 792), over a raw socket. For
 * places without traceroute; raw-socket is optional, so the caller must be ready for its absence.
 */
import type { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';
import { echoRequest } from '../agent/icmp-prober.ts';

interface RawSocket extends EventEmitter {
  send(bytes: Buffer, offset: number, length: number, address: string, before: () => void, after: () => void): void;
  setOption(level: number, option: number, value: number): void;
  close(): void;
}

const ICMP = 1;
/** linux/in.h */
const IPPROTO_IP = 0;
const IP_TTL = 2;
const ECHO_REPLY = 0;
const UNREACHABLE = 3;
const TIME_EXCEEDED = 11;
const MAX_HOPS = 16;

export interface Hop {
  /** Absent where nobody answered. */
  address?: string;
  ms?: number;
}

/** Hops up to the target, or up to where the way ends. */
export async function traceRoute(target: string, timeoutMs = 1000): Promise<Hop[]> {
  const raw = createRequire(import.meta.url)('raw-socket') as {
    createSocket(options: { protocol: number }): RawSocket;
  };
  const socket = raw.createSocket({ protocol: ICMP });
  socket.on('error', () => {});
  const id = process.pid & 0xffff;
  const hops: Hop[] = [];
  try {
    for (let ttl = 1; ttl <= MAX_HOPS; ttl++) {
      const { hop, last } = await askHop(socket, target, id, ttl, timeoutMs);
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
  target: string,
  id: number,
  ttl: number,
  timeoutMs: number,
): Promise<{ hop: Hop; last: boolean }> {
  return new Promise((done) => {
    const began = performance.now();
    const finish = (hop: Hop, last: boolean): void => {
      clearTimeout(timer);
      socket.off('message', hear);
      done({ hop, last });
    };
    const hear = (packet: Buffer, address: string): void => {
      const answer = readAnswer(packet);
      if (answer === undefined || answer.id !== id || answer.sequence !== ttl) return;
      finish({ address, ms: performance.now() - began }, answer.type !== TIME_EXCEEDED);
    };
    const timer = setTimeout(() => finish({}, false), timeoutMs);
    socket.on('message', hear);
    const message = echoRequest(id, ttl, 64);
    const setTtl = (): void => socket.setOption(IPPROTO_IP, IP_TTL, ttl);
    socket.send(message, 0, message.length, target, setTtl, () => {});
  });
}

/** An echo reply, or an error that quotes our echo; `packet` is a whole IPv4 packet. */
export function readAnswer(packet: Buffer): { type: number; id: number; sequence: number } | undefined {
  const header = ((packet[0] ?? 0) & 0xf) * 4;
  if (packet.length < header + 8) return undefined;
  const type = packet[header] ?? 0;
  if (type === ECHO_REPLY) {
    return { type, id: packet.readUInt16BE(header + 4), sequence: packet.readUInt16BE(header + 6) };
  }
  if (type !== TIME_EXCEEDED && type !== UNREACHABLE) return undefined;
  const quoted = header + 8;
  const echo = quoted + ((packet[quoted] ?? 0) & 0xf) * 4;
  if (packet.length < echo + 8) return undefined;
  return { type, id: packet.readUInt16BE(echo + 4), sequence: packet.readUInt16BE(echo + 6) };
}
