/**
 * Asks other hosts whether they answer, how fast, and how large a packet the path to them takes: ICMP echoes of either
 * family. For the path MTU the largest wanted packet goes first; only when it gets lost is the limit searched for by
 * halves (RFC 4821 does the same from within a transport).
 */
import { isIP } from 'node:net';
import type { ProbeResult } from '../status.ts';
import { ECHO_4, ECHO_6, type EchoFamily, EchoSocket } from './echo-socket.ts';

/** Of the echoes that ask for the round trip alone. */
const SMALL_PACKET = 68;

export interface ProbeOptions {
  count: number;
  timeoutMs: number;
  /** Largest IP packet to try; undefined: do not look for the path's MTU. */
  wantedMtu?: number;
}

export class IcmpProber {
  readonly #sockets = new Map<EchoFamily, EchoSocket>();

  private constructor(first: EchoSocket) {
    this.#sockets.set(first.family, first);
  }

  /** Throws an AgentError that says what is missing. */
  static open(): IcmpProber {
    return new IcmpProber(new EchoSocket(ECHO_4));
  }

  async probe(address: string, options: ProbeOptions): Promise<ProbeResult> {
    const socket = this.#socketFor(address);
    const times: number[] = [];
    for (let i = 0; socket && i < options.count; i++) {
      const rtt = await socket.ask(address, SMALL_PACKET, options.timeoutMs);
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
        socket && reachable && options.wantedMtu
          ? await pathMtu(socket, address, options.wantedMtu, options.timeoutMs)
          : undefined,
    };
  }

  /** Undefined for what is no address, and for IPv6 where the kernel has none. */
  #socketFor(address: string): EchoSocket | undefined {
    const family = { 4: ECHO_4, 6: ECHO_6 }[isIP(address)];
    const known = family && this.#sockets.get(family);
    if (!family || known) return known;
    try {
      const socket = new EchoSocket(family);
      this.#sockets.set(family, socket);
      return socket;
    } catch {
      return undefined;
    }
  }

  close(): void {
    for (const socket of this.#sockets.values()) socket.close();
  }
}

/** The largest packet up to `wanted` that is answered. */
async function pathMtu(socket: EchoSocket, address: string, wanted: number, timeoutMs: number): Promise<number> {
  const passes = async (bytes: number) =>
    (await socket.ask(address, bytes, timeoutMs)) !== undefined ||
    (await socket.ask(address, bytes, timeoutMs)) !== undefined;
  if (await passes(wanted)) return wanted;
  let good = socket.family.leastMtu;
  let bad = wanted;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (await passes(middle)) good = middle;
    else bad = middle;
  }
  return good;
}
