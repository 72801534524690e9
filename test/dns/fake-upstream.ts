/** A name server on the loopback that the forwarding tests tell what to say, over UDP and TCP on one port. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Test } from 'tap';

/** From a query's bytes to what is sent back, one datagram each; over TCP the first alone. */
export type Script = (query: Buffer, transport: 'udp' | 'tcp') => Buffer[];

export interface FakeUpstream {
  readonly address: string;
  readonly asked: { transport: 'udp' | 'tcp'; query: Buffer }[];
  script: Script;
}

/** The query turned into an answer: a header with these flags, the question, the records. */
export function replyBytes(query: Buffer, flags = 0x8180, answers: readonly Buffer[] = []): Buffer {
  let end = 12;
  while (query[end]) end += 1 + (query[end] ?? 0);
  const reply = Buffer.concat([query.subarray(0, end + 5), ...answers]);
  reply.writeUInt16BE(flags, 2);
  reply.writeUInt16BE(answers.length, 6);
  reply.writeUInt16BE(0, 8);
  reply.writeUInt16BE(0, 10);
  return reply;
}

/** An A record of the question's name. */
export function addressAnswer(...octets: number[]): Buffer {
  return Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...octets]);
}

export async function fakeUpstream(t: Test, script: Script): Promise<FakeUpstream> {
  const { udp, tcp } = await onOnePort();
  const sessions = new Set<Socket>();
  const upstream: FakeUpstream = { address: `127.0.0.1:${(tcp.address() as AddressInfo).port}`, asked: [], script };
  udp.on('message', (query, remote) => {
    upstream.asked.push({ transport: 'udp', query });
    for (const reply of upstream.script(query, 'udp')) udp.send(reply, remote.port, remote.address);
  });
  tcp.on('connection', (socket) => {
    sessions.add(socket);
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      const query = bytes.subarray(2);
      upstream.asked.push({ transport: 'tcp', query });
      const [reply] = upstream.script(query, 'tcp');
      if (!reply) return void socket.destroy();
      const length = Buffer.alloc(2);
      length.writeUInt16BE(reply.length);
      // In two pieces, as a network may deliver it.
      socket.write(length);
      setTimeout(() => socket.end(reply), 5);
    });
  });
  t.teardown(() => {
    udp.close();
    tcp.close();
    for (const socket of sessions) socket.destroy();
  });
  return upstream;
}

/** A port that is free in UDP may be somebody's in TCP: then another one. */
async function onOnePort(): Promise<{ udp: UdpSocket; tcp: Server }> {
  for (;;) {
    const udp = createSocket('udp4').bind(0, '127.0.0.1');
    await once(udp, 'listening');
    const tcp = createServer().listen(udp.address().port, '127.0.0.1');
    try {
      await once(tcp, 'listening');
      return { udp, tcp };
    } catch (error) {
      udp.close();
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    }
  }
}

/** No record of the question's type, and the SOA that says for how long: its TTL and its minimum. */
export function negativeReply(query: Buffer, rcode: number, ttl: number, minimum: number): Buffer {
  const soa = Buffer.alloc(12 + 4 + 20);
  // Owner and both names: the question's.
  soa.writeUInt16BE(0xc00c, 0);
  soa.writeUInt16BE(6, 2);
  soa.writeUInt16BE(1, 4);
  soa.writeUInt32BE(ttl, 6);
  soa.writeUInt16BE(24, 10);
  soa.writeUInt32BE(0xc00cc00c, 12);
  soa.writeUInt32BE(minimum, 32);
  const reply = replyBytes(query, 0x8180 | rcode, [soa]);
  reply.writeUInt16BE(0, 6);
  reply.writeUInt16BE(1, 8);
  return reply;
}
