/** One TCP stream as fast as it goes, for places without iperf3: a sink that counts, and a source that pushes. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

export interface Throughput {
  gbitPerSecond: number;
  seconds: number;
}

const CHUNK_BYTES = 1 << 20;

/** Takes one connection on a port, counts what comes until its end, and closes. Calls `onListening` once it may come. */
export async function receiveTcp(port: number, onListening: () => void): Promise<Throughput> {
  const server = createServer();
  // Of every address that there is, of either family.
  server.listen(port);
  await once(server, 'listening');
  onListening();
  const [socket] = (await once(server, 'connection')) as [Socket];
  server.close();
  const began = performance.now();
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  await once(socket, 'end');
  socket.end();
  const seconds = (performance.now() - began) / 1000;
  return { gbitPerSecond: (bytes * 8) / seconds / 1e9, seconds };
}

export async function sendTcp(address: string, port: number, seconds: number): Promise<void> {
  const socket = connect(port, address);
  await once(socket, 'connect');
  const chunk = Buffer.alloc(CHUNK_BYTES, 0x77);
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    if (!socket.write(chunk)) await once(socket, 'drain');
  }
  socket.end();
  await once(socket, 'close');
}
