/** A lab's way to an etcd outside: to its members and nowhere else, for the lab's owner alone, and bounded. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { EtcdStore } from '../../src/apiserver/store/etcd-store.ts';
import { prefixRange } from '../../src/apiserver/store/store.ts';
import { openTunnel, serveTunnel, TUNNEL_ENVIRONMENT } from '../../src/lab/etcd-tunnel.ts';
import { EtcdCluster, missingEtcd } from '../apiserver/store/etcd-cluster.ts';
import { put } from '../apiserver/store/store-suite.ts';

/** Paths of sockets are short. */
function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'weft-tunnel-'));
  t.teardown(() => rmSync(path, { recursive: true }));
  return path;
}

/** Both ends; the port of the lab's. */
async function tunnel(
  t: Test,
  members: readonly string[],
  said: string[] = [],
): Promise<{ port: number; path: string }> {
  const path = join(folder(t), 'etcd', 'tunnel.socket');
  const outside = await serveTunnel(path, members, (message) => said.push(message));
  const inside = await openTunnel(path, 0);
  t.teardown(() => {
    inside.close();
    outside.close();
  });
  return { port: (inside.address() as AddressInfo).port, path };
}

async function answer(socket: Socket): Promise<string> {
  const [chunk] = await Promise.race([once(socket, 'data'), once(socket, 'close').then(() => [''])]);
  return String(chunk);
}

async function ask(t: Test, port: number, line: string): Promise<{ socket: Socket; said: string }> {
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  t.teardown(() => socket.destroy());
  socket.write(`${line} HTTP/1.1\r\nHost: a\r\n\r\n`);
  return { socket, said: await answer(socket) };
}

t.test('leads to the members', async (t) => {
  const echo = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket)).listen(0, '127.0.0.1');
  t.teardown(() => echo.close());
  await once(echo, 'listening');
  const to = (echo.address() as AddressInfo).port;
  const said: string[] = [];
  const { port, path } = await tunnel(t, [`https://127.0.0.1:${to}`, 'https://127.0.0.1:9', 'http://[::1]:9'], said);
  t.equal(statSync(path).mode & 0o777, 0o600);
  const { socket, said: first } = await ask(t, port, `CONNECT 127.0.0.1:${to}`);
  t.match(first, /^HTTP\/1\.1 200 /);
  socket.write('bytes');
  t.equal(await answer(socket), 'bytes');
  socket.end();
  await once(socket, 'close');
  t.match((await ask(t, port, 'CONNECT 127.0.0.1:1')).said, /^HTTP\/1\.1 403 /, 'another address');
  t.match((await ask(t, port, `CONNECT localhost:${to}`)).said, /^HTTP\/1\.1 403 /, 'another name');
  t.match((await ask(t, port, `GET http://127.0.0.1:${to}/`)).said, /^HTTP\/1\.1 405 /);
  t.match((await ask(t, port, 'nonsense')).said, /^HTTP\/1\.1 400 /);
  for (let i = 0; i < 3; i++) t.match((await ask(t, port, 'CONNECT 127.0.0.1:9')).said, /^HTTP\/1\.1 502 /);
  t.match((await ask(t, port, 'CONNECT ::1:9')).said, /^HTTP\/1\.1 502 /, 'as gRPC names an IPv6 address');
  const refused = ['https://127.0.0.1:9: ECONNREFUSED', /^http:\/\/\[::1\]:9: E/];
  t.match(said, [`https://127.0.0.1:${to}: connected`, ...refused], 'each said once');
  t.equal(said.length, 3);
});

t.test('connections are bounded, and one that was killed leaves its place', async (t) => {
  const { port } = await tunnel(t, []);
  const sockets = Array.from({ length: 80 }, () => connect(port, '127.0.0.1').on('error', () => {}));
  t.teardown(() => sockets.map((socket) => socket.destroy()));
  let closed = 0;
  await new Promise<void>((done) => {
    for (const socket of sockets) {
      socket.once('close', () => {
        if (++closed === 16) done();
      });
    }
  });
  for (const socket of sockets) socket.destroy();
  const path = join(folder(t), 'left');
  writeFileSync(path, '');
  (await serveTunnel(path, [], () => {})).close();
});

t.test(
  'an etcd with TLS, known by its name, one member of three away',
  { skip: missingEtcd, timeout: 60_000 },
  async (t) => {
    const cluster = await EtcdCluster.start(t, 3, { tls: true });
    const { endpoints, certificates: tls } = cluster;
    const { port } = await tunnel(t, endpoints);
    Object.assign(process.env, TUNNEL_ENVIRONMENT, { grpc_proxy: `http://127.0.0.1:${port}` });
    const open = (options: ConstructorParameters<typeof EtcdStore>[0]) => {
      const store = new EtcdStore(options);
      t.teardown(() => store.close());
      return store;
    };
    const store = open({ endpoints, ...(tls ? { tls } : {}) });
    await store.commit({ conditions: [], writes: [put('/registry/a', '1')] });
    const other = endpoints.map((url) => url.replace('localhost', '127.0.0.1'));
    await t.rejects(open({ endpoints: other, ...(tls ? { tls } : {}) }).revision(), { code: 'unavailable' });
    await cluster.killMember(1);
    t.equal((await store.range(prefixRange('/registry/'))).values.length, 1);
  },
);
