/**
 * One question to one upstream name server and its answer: over UDP from a port and with an id that nobody can guess
 * (RFC 5452 section 9.2), over TCP where the answer did not fit (RFC 7766 section 5). Beneath the forwarder.
 */
import { createSocket } from 'node:dgram';
import { connect, isIP } from 'node:net';
import { FLAG, HEADER_BYTES } from './codes.ts';

export interface Upstream {
  address: string;
  port: number;
}

/** `10.0.0.1`, `10.0.0.1:5353`, `fd00::1`, `fe80::1%eth0`, `[fd00::1]:5353`; nothing for anything else. */
export function parseUpstream(text: string): Upstream | undefined {
  if (isIP(text) !== 0) return { address: text, port: 53 };
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const address = match?.[1] ?? match?.[2] ?? '';
  const port = Number(match?.[3]);
  if (isIP(address) !== (match?.[1] === undefined ? 4 : 6) || !(port >= 1 && port <= 65535)) return undefined;
  return { address, port };
}

/** What parseUpstream reads again. */
export function upstreamText({ address, port }: Upstream): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

export interface Exchange {
  /** Resolves with nothing when the upstream is silent, refuses, or the exchange was cancelled. Never rejects. */
  readonly reply: Promise<Buffer | undefined>;
  cancel(): void;
  /** It ended because somebody cancelled it. */
  readonly cancelled: boolean;
}

/** Sends the query and waits for the reply that belongs to it; others are reported to `onMismatch` and ignored. */
export function askByUdp(upstream: Upstream, query: Buffer, timeoutMs: number, onMismatch: () => void): Exchange {
  return exchange(timeoutMs, (finish) => {
    const socket = createSocket(isIP(upstream.address) === 6 ? 'udp6' : 'udp4');
    socket.on('error', () => finish(undefined));
    socket.on('message', (message) => {
      if (isReplyTo(query, message)) finish(message);
      else onMismatch();
    });
    // Connected, so that the kernel lets in the upstream's datagrams alone and hands us its port-unreachable.
    socket.connect(upstream.port, upstream.address, () => {
      try {
        socket.send(query, (error) => error && finish(undefined));
      } catch {
        finish(undefined);
      }
    });
    return () => socket.close();
  });
}

export function askByTcp(upstream: Upstream, query: Buffer, timeoutMs: number): Exchange {
  return exchange(timeoutMs, (finish) => {
    const socket = connect({ host: upstream.address, port: upstream.port });
    let received = Buffer.alloc(0);
    socket.on('error', () => finish(undefined));
    socket.on('close', () => finish(undefined));
    socket.on('connect', () => {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(query.length);
      socket.write(Buffer.concat([length, query]));
    });
    socket.on('data', (bytes) => {
      received = Buffer.concat([received, bytes]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      const message = received.subarray(2, 2 + received.readUInt16BE(0));
      finish(isReplyTo(query, message) ? message : undefined);
    });
    return () => socket.destroy();
  });
}

/** Runs `open`, which returns how to close; whatever comes first of an answer, a failure, the time or a cancel ends it. */
function exchange(timeoutMs: number, open: (finish: (reply: Buffer | undefined) => void) => () => void): Exchange {
  let finishWith = (_reply: Buffer | undefined): void => {};
  let ended = false;
  const reply = new Promise<Buffer | undefined>((resolve) => {
    let close = (): void => {};
    const finish = (message: Buffer | undefined): void => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      try {
        close();
      } catch {
        // A socket that failed to open is closed already.
      }
      resolve(message);
    };
    const timer = setTimeout(finish, timeoutMs, undefined);
    finishWith = finish;
    try {
      close = open(finish);
    } catch {
      finish(undefined);
    }
  });
  let cancelled = false;
  return {
    reply,
    cancel: () => {
      cancelled ||= !ended;
      finishWith(undefined);
    },
    get cancelled() {
      return cancelled;
    },
  };
}

/** The id we drew, the response bit, and our question, case aside; an error may come back without any question. */
function isReplyTo(query: Buffer, reply: Buffer): boolean {
  if (reply.length < HEADER_BYTES || reply.readUInt16BE(0) !== query.readUInt16BE(0)) return false;
  const flags = reply.readUInt16BE(2);
  if (!(flags & FLAG.response)) return false;
  const questions = reply.readUInt16BE(4);
  if (questions === 0) return (flags & 15) !== 0 && reply.length === HEADER_BYTES;
  const end = questionEnd(query);
  if (questions !== 1 || reply.length < end) return false;
  return lowerCase(query, end) === lowerCase(reply, end);
}

/** Our own queries are well formed: labels, a zero, type and class. */
function questionEnd(query: Buffer): number {
  let at = HEADER_BYTES;
  while (query[at]) at += 1 + (query[at] ?? 0);
  return at + 5;
}

function lowerCase(message: Buffer, end: number): string {
  return message.toString('latin1', HEADER_BYTES, end).replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}
