/** Requests against the API server of this project, and against servers that misbehave. */
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ApiClient, type ApiRequestError } from '../../src/kube/api-client.ts';
import { configMap, TestServer } from '../apiserver/test-server.ts';
import { apiAccess } from './api-access.ts';

function clientOf(t: Test, server: string, more = {}): ApiClient {
  const client = new ApiClient(apiAccess(server, 'admin', more));
  t.teardown(() => client.close());
  return client;
}

async function serverOf(t: Test, listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

t.test('every verb, and errors as the server words them', async (t) => {
  const server = await TestServer.start(t);
  const client = clientOf(t, server.url);
  const path = '/api/v1/namespaces/default/configmaps';
  await client.post(path, configMap('a', { x: '1' }));
  await client.patch(`${path}/a`, 'merge', { data: { y: '2' } });
  t.match(await client.get(`${path}/a`), { data: { x: '1', y: '2' } });
  await client.put(`${path}/a`, configMap('a', { z: '3' }));
  t.match(await client.get(path, { query: { limit: 1 } }), { items: [{ data: { z: '3' } }] });
  await t.rejects(client.post(path, configMap('a')), { code: 409, reason: 'AlreadyExists', isOutage: false });
  await client.delete(`${path}/a`);
  await t.rejects(client.get(`${path}/a`), { code: 404, reason: 'NotFound', message: 'configmaps "a" not found' });
  await t.rejects(clientOf(t, server.url, { token: 'wrong' }).get(path), { code: 401 });
});

t.test('a long list comes compressed', async (t) => {
  const server = await TestServer.start(t);
  const client = clientOf(t, server.url);
  for (let i = 0; i < 3; i++) {
    await client.post('/api/v1/namespaces/default/configmaps', configMap(`m${i}`, { x: 'x'.repeat(20_000) }));
  }
  const plain = await fetch(`${server.url}/api/v1/configmaps?limit=3`, {
    headers: { authorization: 'Bearer admin', 'accept-encoding': 'identity' },
  });
  const sent = await client.stream('/api/v1/configmaps', { query: { limit: 3 } });
  t.equal(sent.headers['content-encoding'], undefined, 'what is read as it comes comes as it is');
  sent.destroy();
  t.same(await client.get('/api/v1/configmaps', { query: { limit: 3 } }), await plain.json());
  const raw = await fetch(`${server.url}/api/v1/configmaps?limit=3`, {
    headers: { authorization: 'Bearer admin', 'accept-encoding': 'gzip' },
  });
  t.equal(raw.headers.get('content-encoding'), 'gzip');
  await t.rejects(
    clientOf(
      t,
      await serverOf(t, (_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('no')),
    ).get('/'),
    { code: 0, message: /broke off/ },
  );
});

t.test('a token out of a file', async (t) => {
  const server = await TestServer.start(t);
  const tokenFile = join(t.testdir({ token: 'viewer\n' }), 'token');
  const client = clientOf(t, server.url, { token: undefined, tokenFile });
  t.match(await client.get('/api/v1/nodes'), { kind: 'NodeList' });
});

t.test('who we are may change while it is used', async (t) => {
  const server = await TestServer.start(t);
  const client = clientOf(t, server.url, { token: 'gone' });
  await t.rejects(client.get('/api/v1/nodes'), { code: 401 });
  client.renew(apiAccess(server.url, 'viewer'));
  t.match(await client.get('/api/v1/nodes'), { kind: 'NodeList' });
  t.equal(client.access.token, 'viewer');
});

t.test('nobody there, and an answer that never comes', async (t) => {
  const gone = clientOf(t, 'http://127.0.0.1:1');
  await t.rejects(gone.get('/api'), { code: 0, isOutage: true, message: 'http://127.0.0.1:1: ECONNREFUSED' });
  const silent = clientOf(t, await serverOf(t, () => {}));
  await t.rejects(silent.get('/api', { timeoutMs: 50 }), { code: 0, message: /no answer in time/ });
});

t.test('answers that are cut off, endless, no JSON, or of somebody in between', async (t) => {
  const url = await serverOf(t, (request, response) => {
    if (request.url === '/cut') response.writeHead(200, { 'content-length': 100 }).write('{"a":');
    if (request.url === '/cut') setTimeout(() => response.destroy(), 10);
    if (request.url === '/html') response.end('<html>');
    if (request.url === '/proxy') response.writeHead(502, { 'retry-after': '3' }).end('<h1>Bad Gateway</h1>');
    if (request.url === '/endless') {
      const page = Buffer.alloc(1 << 20, 32);
      const more = () => {
        while (response.write(page));
        response.once('drain', more);
      };
      more();
    }
  });
  const client = clientOf(t, url);
  await t.rejects(client.get('/cut'), { code: 0, message: /broke off/ });
  await t.rejects(client.get('/html'), { code: 0, message: 'GET /html: the answer is no JSON' });
  await t.rejects(client.get('/endless'), { code: 0, message: /longer than 67108864 bytes/ });
  const error = await client.get('/proxy').then(
    () => undefined,
    (e: ApiRequestError) => e,
  );
  t.match(error, { code: 502, isOutage: true, details: { retryAfterSeconds: 3 } });
  t.match(error?.message, /Bad Gateway/);
});

t.test('what was under way when it was closed is not asked again', async (t) => {
  let asked = 0;
  const url = await serverOf(t, (_, response) => {
    if (++asked === 1) response.end('{}');
  });
  const client = clientOf(t, url);
  await client.get('/');
  const second = client.get('/');
  while (asked < 2) await new Promise((resolve) => setTimeout(resolve, 2));
  client.close();
  await t.rejects(second, { code: 0 });
  t.equal(asked, 2);
});

t.test('a connection that the server closed while it was idle is no error', async (t) => {
  let asked = 0;
  const url = await serverOf(t, (request, response) => {
    asked++;
    response.end('{}', () => setImmediate(() => request.socket.destroy()));
  });
  const client = clientOf(t, url);
  for (let i = 0; i < 20; i++) await client.get('/');
  t.equal(asked, 20);
});
