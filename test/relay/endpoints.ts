/** Servers and clients on loopback for the relay's tests. Addresses of 127.0.0.0/8 tell endpoints apart. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import type { Test } from 'tap';
import type { Target } from '../../src/relay/endpoint-picker.ts';
import { Random } from '../dataplane/random.ts';

/** Serves until the test ends. */
export async function tcpServer(
  t: Test,
  address: string,
  serve: (socket: Socket) => void,
  options: { backlog?: number } = {},
): Promise<Target & { stop: () => void }> {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => open.delete(socket));
    serve(socket);
  });
  server.listen({ host: address, port: 0, ...options });
  await once(server, 'listening');
  const stop = (): void => {
    server.close();
    for (const socket of open) socket.resetAndDestroy();
  };
  t.teardown(stop);
  return { address, port: (server.address() as { port: number }).port, stop };
}

/** Says its name and ends. */
export function named(t: Test, address: string): Promise<Target & { stop: () => void }> {
  return tcpServer(t, address, (socket) => socket.end(address));
}

/**
 * An endpoint that drops SYNs, as one behind a firewall does: it listens but never accepts, and its queue is full.
 * The kernel answers no SYN then.
 */
export async function silentServer(t: Test, address: string): Promise<Target> {
  const code = `
    const { parentPort } = require('node:worker_threads');
    const server = require('node:net').createServer().listen({ host: '${address}', port: 0, backlog: 1 }, () => {
      parentPort.postMessage(server.address().port);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    });`;
  const worker = new Worker(code, { eval: true });
  const [port] = (await once(worker, 'message')) as [number];
  const fill = Array.from({ length: 4 }, () => tcpClient(address, port));
  t.teardown(async () => {
    for (const socket of fill) socket.destroy();
    await worker.terminate();
  });
  await Promise.all(fill.slice(0, 2).map((socket) => once(socket, 'connect')));
  return { address, port };
}

export function tcpClient(address: string, port: number): Socket {
  const socket = connect({ host: address, port, allowHalfOpen: true });
  socket.on('error', () => {});
  return socket;
}

/** Everything that a connection says until it ends, and how it ended. */
export async function readAll(socket: Socket): Promise<{ text: string; code: string }> {
  const parts: Buffer[] = [];
  let code = '';
  socket.on('data', (part: Buffer) => parts.push(part));
  socket.on('error', (error: NodeJS.ErrnoException) => {
    code = error.code ?? '';
  });
  await new Promise<void>((done) => socket.once('end', done).once('close', done));
  socket.end();
  return { text: Buffer.concat(parts).toString('latin1'), code };
}

export async function udpServer(
  t: Test,
  address: string,
  serve: (socket: UdpSocket, datagram: Buffer, from: { address: string; port: number }) => void,
): Promise<Target & { stop: () => void }> {
  const socket = createSocket('udp4');
  socket.on('message', (datagram, from) => serve(socket, datagram, from));
  socket.bind(0, address);
  await once(socket, 'listening');
  let open = true;
  const stop = (): void => {
    if (open) socket.close();
    open = false;
  };
  t.teardown(stop);
  return { address, port: socket.address().port, stop };
}

/** A client with one port; ask() resolves with the next datagram that comes, or undefined after `waitMs`. */
export async function udpClient(t: Test): Promise<{
  port: number;
  ask: (datagram: string | Buffer, port: number, waitMs?: number) => Promise<Buffer | undefined>;
}> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.teardown(() => socket.close());
  return {
    port: socket.address().port,
    ask: (datagram, port, waitMs = 2000) =>
      new Promise((resolve) => {
        const heard = (answer: Buffer): void => {
          clearTimeout(timer);
          resolve(answer);
        };
        const timer = setTimeout(() => {
          socket.off('message', heard);
          resolve(undefined);
        }, waitMs);
        socket.once('message', heard);
        socket.send(datagram, port, '127.0.0.1');
      }),
  };
}

/** Numbers from 0 up to but not 1, the same for a seed. */
export function randomFrom(seed: number): () => number {
  const random = new Random(seed);
  return () => random.next() / 0x1_0000_0000;
}
