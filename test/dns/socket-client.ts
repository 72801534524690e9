/** Clients of the server under test, at the level of bytes. */
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import type { Test } from 'tap';
import { DnsServer, type DnsServerOptions } from '../../src/dns/server.ts';
import { sampleRecords } from './sample-cluster.ts';

export async function startServer(t: Test, options: Partial<DnsServerOptions> = {}): Promise<DnsServer> {
  const base = {
    address: '127.0.0.1',
    port: 0,
    domain: 'cluster.local',
    records: () => sampleRecords,
    upstreams: [],
    detectLoops: false,
  };
  const server = await DnsServer.start({ ...base, ...options });
  t.teardown(() => server.close());
  return server;
}

/** The first datagram that comes back, or nothing after `waitMs`. */
export function udpAsk(port: number, query: Buffer, waitMs = 3000): Promise<Buffer | undefined> {
  const socket = createSocket('udp4');
  return new Promise<Buffer | undefined>((resolve, reject) => {
    const timer = setTimeout(resolve, waitMs, undefined);
    socket.once('error', reject);
    socket.once('message', (message) => {
      clearTimeout(timer);
      resolve(message);
    });
    socket.send(query, port, '127.0.0.1');
  }).finally(() => socket.close());
}

export function framed(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}

/** Sends the pieces one after the other; resolves with the whole messages received when `count` are there or the end. */
export function tcpAsk(port: number, pieces: readonly Buffer[], count: number, halfClose = false): Promise<Buffer[]> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    const messages: Buffer[] = [];
    let received = Buffer.alloc(0);
    const done = (): void => {
      socket.destroy();
      resolve(messages);
    };
    socket.on('error', reject);
    socket.on('end', done);
    socket.on('close', done);
    socket.on('data', (bytes) => {
      received = Buffer.concat([received, bytes]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        messages.push(received.subarray(2, 2 + received.readUInt16BE(0)));
        received = received.subarray(2 + received.readUInt16BE(0));
      }
      if (messages.length >= count && !halfClose) done();
    });
    socket.on('connect', async () => {
      for (const piece of pieces) {
        socket.write(piece);
        await new Promise((resume) => setTimeout(resume, 5));
      }
      if (halfClose) socket.end();
    });
  });
}
