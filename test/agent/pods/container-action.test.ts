/** What probes do: requests, connections and commands, against servers that answer well, badly, and never. */
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import t from 'tap';
import { type Action, type ActionTarget, perform } from '../../../src/agent/pods/container-action.ts';

const target: ActionTarget = {
  address: '127.0.0.1',
  container: { name: 'c' },
  beside: ([file = '', ...args]) => ({ file, args, env: { PATH: '/usr/bin:/bin', WHO: 'me' } }),
};
const run = (action: Action, ms = 2000, to = target) => perform(action, to, ms);
const shell = (script: string, ms?: number) => run({ exec: { command: ['sh', '-c', script] } }, ms);

t.test('httpGet: by the code of the answer, with the headers that are wanted', async (t) => {
  const seen: string[] = [];
  const server = createHttpServer((request, response) => {
    seen.push(`${request.url} ${request.headers.host} ${request.headers['x-a']}`);
    if (request.url === '/never') return;
    const [, code, to] = /^\/(30\d)to(.*)/.exec(request.url ?? '') ?? [];
    if (to !== undefined) return void response.writeHead(Number(code), { location: to }).end();
    if (request.url === '/endless') return void setInterval(() => response.write('x'.repeat(8192)), 1).unref();
    response.statusCode = Number(request.url?.slice(1));
    response.end('body');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const get = (path: string, more = {}) => run({ httpGet: { path, port, ...more } }, 300);
  t.match(await get('/200'), { ok: true });
  t.match(
    await get('399', {
      httpHeaders: [
        { name: 'X-A', value: 'b' },
        { name: 'Host', value: 'shop' },
      ],
    }),
    { ok: true },
  );
  t.equal(seen.at(-1), '/399 shop b');
  t.match(await get('/400'), { ok: false, message: 'HTTP probe failed with statuscode: 400' });
  t.match(await get('/503'), { ok: false });
  t.match(await get('/never'), { ok: false, message: /no answer within 300 ms/ });
  t.match(await get('/endless'), { ok: true }, 'what was answered first decides');
  const named = { ...target, container: { name: 'c', ports: [{ name: 'web', containerPort: port }] } };
  t.match(await run({ httpGet: { path: '/200', port: 'web' } }, 300, named), { ok: true });
  t.match(await run({ httpGet: { port: 'other' } }, 300, named), { ok: false, message: 'no port is called other' });
  t.match(await get('/200', { scheme: 'HTTPS' }), { ok: false }, 'no TLS is spoken there');
  t.match(await get('/200', { host: 'a b' }), { ok: false }, 'a host that is none');
  t.match(await get('/302to/200'), { ok: true });
  t.match(await get('/307to/503'), { ok: false, message: 'HTTP probe failed with statuscode: 503' }, 'it is followed');
  t.match(await get('/302tohttp://localhost:1/'), { ok: true }, 'what leads elsewhere is not');
  t.match(await get(`/304to/503`), { ok: true }, 'nor what is no redirect');
  t.match(await get('/301to/301to/301to/never'), { ok: false, message: /no answer within 300 ms/ });
  t.match(await get('/302to/302to'), { ok: true }, 'one without a place is an answer');
});

t.test('tcpSocket: whether it connects', async (t) => {
  const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  t.match(await run({ tcpSocket: { port } }), { ok: true });
  server.close();
  await once(server, 'close');
  t.match(await run({ tcpSocket: { port } }), {
    ok: false,
    message: /^dial tcp 127\.0\.0\.1:\d+: connect ECONNREFUSED/,
  });
});

t.test('exec: by the exit code, in bounded time and memory', async (t) => {
  t.match(await shell('echo $WHO'), { ok: true, message: 'me\n' });
  t.match(await shell('echo wrong >&2; exit 3'), { ok: false, message: 'wrong' });
  t.match(await shell('exit 3'), { ok: false, message: 'exit code 3' });
  t.match(await run({ exec: { command: ['/no/such/program'] } }), { ok: false, message: /ENOENT/ });
  const began = Date.now();
  t.match(await shell('sleep 30 & sleep 30', 100), { ok: false, message: /timed out/ });
  t.match(await shell('(setsid sleep 30 &); exit 0'), { ok: true }, 'what it leaves behind holds nothing up');
  t.match(await shell('yes', 100), { ok: false, message: /timed out/ });
  t.ok(Date.now() - began < 5000);
  t.ok((await shell('yes | head -c 1000000; exit 1')).message.length <= 500);
});

t.test('what can be given to nobody is a failure like another', async (t) => {
  t.match(await run({ exec: { command: ['a\0b'] } }), { ok: false, message: /null bytes/ });
  t.match(await run({ httpGet: { port: 1, httpHeaders: [{ name: 'a', value: 'b\nc' }] } }), { ok: false });
  t.match(await run({ tcpSocket: { port: 70_000 } }), { ok: false });
});

t.test('redirects end', async (t) => {
  let asked = 0;
  const server = createHttpServer((_, response) => {
    asked++;
    response.writeHead(302, { location: '/' }).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  t.match(await run({ httpGet: { port } }), { ok: false, message: /stopped after 10 redirects/ });
  t.equal(asked, 11);
});

t.test('a probe that says nothing fails', async (t) => {
  t.match(await run({}), { ok: false });
});
