/**
 * What netexec's /dial does: asks another netexec so often, over HTTP or UDP, and tells what was answered. With it a
 * test looks from one pod at others without entering it.
 */
import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { request as httpRequest } from 'node:http';

export interface DialRequest {
  protocol: 'http' | 'udp';
  host: string;
  port: number;
  /** A path, or a datagram's text: `hostname`, `echo?msg=a`. */
  request: string;
  tries: number;
}

export interface DialResult {
  responses: string[];
  errors: string[];
}

const TRY_MS = 5000;
const MOST_TRIES = 100;
const ANSWER_CHARACTERS = 4096;

/** Nothing where the query names no host and port. */
export function readDial(query: URLSearchParams): DialRequest | undefined {
  const host = query.get('host');
  const port = Number(query.get('port'));
  const protocol = query.get('protocol') ?? 'http';
  if (!host || !Number.isInteger(port) || port < 1 || port > 65535) return undefined;
  if (protocol !== 'http' && protocol !== 'udp') return undefined;
  const tries = Math.min(MOST_TRIES, Math.max(1, Math.floor(Number(query.get('tries') ?? 1)) || 1));
  return { protocol, host, port, request: query.get('request') ?? 'hostName', tries };
}

/** One after the other. */
export async function dial(wanted: DialRequest): Promise<DialResult> {
  const result: DialResult = { responses: [], errors: [] };
  for (let i = 0; i < wanted.tries; i++) {
    try {
      result.responses.push(await (wanted.protocol === 'udp' ? askUdp(wanted) : askHttp(wanted)));
    } catch (error) {
      result.errors.push((error as Error).message);
    }
  }
  return result;
}

function askHttp({ host, port, request }: DialRequest): Promise<string> {
  return new Promise((done, fail) => {
    const path = request.startsWith('/') ? request : `/${request}`;
    const sent = httpRequest({ host, port, path, agent: false, signal: AbortSignal.timeout(TRY_MS) }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text = `${text}${part}`.slice(0, ANSWER_CHARACTERS);
      });
      response.on('end', () => done(text));
      response.on('error', fail);
    });
    sent.on('error', fail);
    sent.end();
  });
}

async function askUdp({ host, port, request }: DialRequest): Promise<string> {
  const { address, family } = await lookup(host);
  return new Promise((done, fail) => {
    const socket = createSocket(family === 6 ? 'udp6' : 'udp4');
    const end = (): void => {
      clearTimeout(timer);
      socket.close();
    };
    const timer = setTimeout(() => {
      end();
      fail(new Error(`no answer within ${TRY_MS} ms`));
    }, TRY_MS);
    socket.once('error', (error) => {
      end();
      fail(error);
    });
    socket.once('message', (message) => {
      end();
      done(message.toString('utf8').slice(0, ANSWER_CHARACTERS));
    });
    socket.connect(port, address, () => socket.send(request));
  });
}
