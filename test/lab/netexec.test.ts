import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { get } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { hostname } from 'node:os';
import t from 'tap';
import { serveNetexec } from '../../src/lab/netexec.ts';

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function fetchPath(port: number, path: string): Promise<{ status: number; text: string }> {
  return new Promise((done, fail) => {
    get({ port, path, host: '127.0.0.1', headers: { connection: 'close' }, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => done({ status: response.statusCode ?? 0, text }));
    }).on('error', fail);
  });
}

t.test('HTTP', async (t) => {
  const port = await freePort();
  const shut: number[] = [];
  const close = await serveNetexec({ httpPort: port, address: '127.0.0.1' }, (code) => shut.push(code));
  t.teardown(close);
  t.same(await fetchPath(port, '/hostname'), { status: 200, text: hostname() });
  t.match((await fetchPath(port, '/clientip')).text, /^127\.0\.0\.1:\d+$/);
  t.same(await fetchPath(port, '/echo?msg=a%20b'), { status: 200, text: 'a b' });
  t.same(await fetchPath(port, '/echo?msg=x&code=418'), { status: 418, text: 'x' });
  t.equal((await fetchPath(port, '/echo?code=banana')).status, 400);
  t.same(await fetchPath(port, '/healthz'), { status: 200, text: 'ok' });
  t.equal((await fetchPath(port, '/nothing')).status, 404);
  t.same(shut, []);
  t.equal((await fetchPath(port, '/shutdown')).text, 'bye');
  t.same(shut, [0]);
  t.equal((await fetchPath(port, '/exit?code=3&wait=1ms')).text, 'bye');
  while (shut.length < 2) await new Promise((done) => setTimeout(done, 5));
  t.same(shut, [0, 3]);
  const many = await Promise.all(Array.from({ length: 500 }, () => fetchPath(port, '/hostname')));
  t.ok(
    many.every(({ status }) => status === 200),
    '500 at once',
  );
});

t.test('headers, redirects, and looking at others', async (t) => {
  const port = await freePort();
  const udpPort = await freePort();
  t.teardown(await serveNetexec({ httpPort: port, udpPort, address: '127.0.0.1' }, () => {}));
  t.equal((await fetchPath(port, '/header?key=Connection')).text, 'close');
  t.equal((await fetchPath(port, '/redirect?location=/hostname')).status, 302);
  t.equal((await fetchPath(port, '/redirect?location=/hostname&code=200')).status, 400);
  t.equal((await fetchPath(port, '/redirect?location=%0d%0aX:y')).status, 302, 'a location that is none is left out');
  const dial = async (query: string) => JSON.parse((await fetchPath(port, `/dial?host=127.0.0.1&${query}`)).text);
  t.same(await dial(`port=${port}&request=echo?msg=a&tries=2`), { responses: ['a', 'a'], errors: [] });
  t.same(await dial(`port=${udpPort}&protocol=udp&request=echo%20b`), { responses: ['b'], errors: [] });
  t.match(await dial(`port=${await freePort()}`), { responses: [], errors: [/ECONNREFUSED/] });
  t.equal((await fetchPath(port, '/dial?host=127.0.0.1')).status, 400);
  t.equal((await fetchPath(port, '/shell?cmd=id')).status, 404, "a pod's file system is the host's");
});

t.test('both families, each client by its own address', async (t) => {
  const port = await freePort();
  t.teardown(await serveNetexec({ httpPort: port, udpPort: port }, () => {}));
  t.match((await fetchPath(port, '/clientip')).text, /^127\.0\.0\.1:\d+$/);
  const socket = createSocket('udp6');
  t.teardown(() => socket.close());
  socket.send('clientip', port, '::1');
  const heard = await Promise.race([
    once(socket, 'message').then(([message]) => String(message)),
    once(socket, 'error').then(() => 'no IPv6 here'),
  ]);
  if (heard !== 'no IPv6 here') t.match(heard, /^\[::1\]:\d+$/);
});

t.test('UDP', async (t) => {
  const port = await freePort();
  const close = await serveNetexec({ udpPort: port, address: '127.0.0.1' }, () => {});
  t.teardown(close);
  const client = createSocket('udp4').bind(0, '127.0.0.1');
  await once(client, 'listening');
  t.teardown(() => client.close());
  const ask = async (text: string): Promise<string> => {
    client.send(text, port, '127.0.0.1');
    const [reply] = (await once(client, 'message')) as [Buffer];
    return reply.toString();
  };
  t.equal(await ask('hostname\n'), hostname());
  t.equal(await ask('clientip'), `127.0.0.1:${client.address().port}`);
  t.equal(await ask('echo two words'), 'two words');
  t.equal(await ask('dance'), 'no dance here');
});

t.test('a port that is taken is an error of the start', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  await t.rejects(
    serveNetexec({ httpPort: port, address: '127.0.0.1' }, () => {}),
    { code: 'EADDRINUSE' },
  );
});
