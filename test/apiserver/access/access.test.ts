/** Who may do what: tokens, roles, nodes; certificates over TLS; nobody without either. */

import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import t, { type Test } from 'tap';
import { ADMINISTRATORS, Authenticator, VIEWERS } from '../../../src/apiserver/access/access.ts';
import { Authority, type Certified } from '../../../src/apiserver/access/authority.ts';
import { followTokens, parseTokens } from '../../../src/apiserver/access/token-file.ts';
import { ApiService } from '../../../src/apiserver/api-service.ts';
import { LmdbStore } from '../../../src/apiserver/store/lmdb-store.ts';
import { configMap, pod, TestServer } from '../test-server.ts';

const MAPS = '/api/v1/namespaces/default/configmaps';
const EVENTS = '/api/v1/namespaces/default/events';
const PODS = '/api/v1/namespaces/default/pods';

t.test('nobody is anonymous', async (t) => {
  const server = await TestServer.start(t);
  t.match(await server.get(MAPS, { token: '' }), { code: 401, body: { reason: 'Unauthorized' } });
  t.match(await server.get(MAPS, { token: 'guess' }), { code: 401 });
  t.equal((await server.get('/healthz', { token: '' })).body, 'ok');
  t.equal((await server.get('/readyz', { token: '' })).code, 200);
});

t.test('without questions everybody is served on loopback, but for pages that a browser has open', async (t) => {
  const everybody = { name: 'admin', groups: [ADMINISTRATORS] };
  const authenticator = new Authenticator([], everybody);
  const ask = (headers: object) => authenticator.userOf({ headers } as IncomingMessage, undefined);
  for (const host of ['127.0.0.1:6443', 'localhost', 'localhost:80', '[::1]:6443', '[::1]']) {
    t.equal(ask({ host }), everybody, host);
  }
  for (const headers of [
    { host: '127.0.0.1:6443', origin: 'https://example.com' },
    { host: '127.0.0.1:6443', origin: 'null' },
    { host: 'rebound.example.com:6443' },
    {},
  ]) {
    t.throws(() => ask(headers), { name: 'ApiError', reason: 'Unauthorized' }, JSON.stringify(headers));
  }
});

t.test('a viewer reads and nothing else', async (t) => {
  const server = await TestServer.start(t);
  await server.ask('POST', MAPS, configMap('a'));
  const token = 'viewer';
  t.equal((await server.get(`${MAPS}/a`, { token })).code, 200);
  t.equal((await server.get('/apis', { token })).code, 200);
  for (const [method, path] of [
    ['POST', MAPS],
    ['PUT', `${MAPS}/a`],
    ['PATCH', `${MAPS}/a`],
    ['DELETE', `${MAPS}/a`],
    ['DELETE', MAPS],
  ]) {
    const answer = await server.ask(method as string, path as string, configMap('a'), { token });
    t.match(answer, { code: 403, body: { reason: 'Forbidden', message: /User "viewer" cannot/ } }, `${method} ${path}`);
  }
  t.equal((await server.get(`${PODS}/x/exec`, { token })).code, 403);
});

t.test('a node writes what is its own', async (t) => {
  const server = await TestServer.start(t);
  const token = 'node-a';
  await server.ask('POST', PODS, pod('mine', { nodeName: 'a' }));
  await server.ask('POST', PODS, pod('other', { nodeName: 'b' }));
  const event = (name: string, host?: string) => ({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name },
    involvedObject: { kind: 'Pod', namespace: 'default', name: 'mine' },
    ...(host ? { source: { component: 'weft', host } } : {}),
  });
  await server.ask('POST', EVENTS, event('others', 'b'));
  const node = (name: string) => ({ apiVersion: 'v1', kind: 'Node', metadata: { name } });
  const lease = (name: string) => ({ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name } });
  const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
  const merge = { token, type: 'application/merge-patch+json' };
  const expected: [string, string, unknown, number][] = [
    ['POST', '/api/v1/nodes', node('a'), 201],
    ['POST', '/api/v1/nodes', node('b'), 403],
    ['PATCH', '/api/v1/nodes/a/status', { status: {} }, 200],
    ['PATCH', '/api/v1/nodes/b/status', { status: {} }, 403],
    ['PATCH', '/api/v1/nodes/a', { metadata: { labels: { 'kubernetes.io/os': 'linux' } } }, 200],
    ['PATCH', '/api/v1/nodes/a', { spec: { podCIDR: '10.244.7.0/24' } }, 403],
    ['PATCH', '/api/v1/nodes/a', { spec: { taints: [{ key: 'x', effect: 'NoSchedule' }] } }, 403],
    ['PATCH', '/api/v1/nodes/a', { metadata: { labels: { 'node-restriction.kubernetes.io/x': 'y' } } }, 403],
    ['PATCH', '/api/v1/nodes/a', { metadata: { labels: { 'node-role.kubernetes.io/control-plane': '' } } }, 403],
    ['PATCH', '/api/v1/nodes/a', { metadata: { labels: { 'node.kubernetes.io/x': 'y', 'example.com/x': 'y' } } }, 200],
    ['PATCH', '/api/v1/nodes/a', { metadata: null }, 400],
    ['POST', EVENTS, event('mine', 'a'), 201],
    ['POST', EVENTS, event('silent'), 201],
    ['POST', EVENTS, event('forged', 'b'), 403],
    ['PATCH', `${EVENTS}/others`, { count: 2 }, 403],
    ['PATCH', `${EVENTS}/mine`, { count: 2 }, 200],
    ['PATCH', `${EVENTS}/mine`, { source: { host: 'b' } }, 403],
    ['DELETE', EVENTS, undefined, 403],
    ['DELETE', '/api/v1/nodes/a', undefined, 403],
    ['POST', leases, lease('a'), 201],
    ['POST', leases, lease('b'), 403],
    ['PATCH', `${leases}/a`, { spec: { holderIdentity: 'a' } }, 200],
    ['POST', '/apis/coordination.k8s.io/v1/namespaces/default/leases', lease('a'), 403],
    ['PATCH', `${PODS}/mine/status`, { status: { phase: 'Running' } }, 200],
    ['PATCH', `${PODS}/other/status`, { status: { phase: 'Running' } }, 403],
    ['PATCH', `${PODS}/mine`, { metadata: { labels: { a: 'b' } } }, 403],
    ['POST', PODS, pod('new', { nodeName: 'a' }), 403],
    ['DELETE', `${PODS}/other`, { gracePeriodSeconds: 0 }, 403],
    ['DELETE', `${PODS}/mine`, { gracePeriodSeconds: 0 }, 200],
    ['POST', MAPS, configMap('a'), 403],
  ];
  for (const [method, path, body, code] of expected) {
    const options = method === 'PATCH' ? merge : { token };
    t.equal((await server.ask(method, path, body, options)).code, code, `${method} ${path} is ${code}`);
  }
  t.equal((await server.get(PODS, { token })).code, 200, 'it reads');
  t.equal((await server.get(`${PODS}/mine/log`, { token })).code, 403, 'but no logs');
  t.equal((await server.get(`${PODS}/other`)).body.status.phase, 'Pending');
});

t.test('a node deletes the pod that it was allowed to, not the next one of that name', async (t) => {
  const server = await TestServer.start(t);
  await server.ask('POST', PODS, pod('web-0', { nodeName: 'a' }));
  const { objects } = server;
  const { get } = objects;
  objects.get = async (place) => {
    const found = await get.call(objects, place);
    objects.get = get;
    await objects.delete(place, { gracePeriodSeconds: 0 });
    await server.ask('POST', PODS, pod('web-0', { nodeName: 'b' }));
    return found;
  };
  const answer = await server.ask('DELETE', `${PODS}/web-0`, { gracePeriodSeconds: 0 }, { token: 'node-a' });
  t.equal(answer.code, 409);
  t.match((await server.get(`${PODS}/web-0`)).body, { spec: { nodeName: 'b' } });
});

t.test('an administrator may be somebody else, and can then do what that one can', async (t) => {
  const server = await TestServer.start(t);
  const ask = (token: string, headers: Record<string, string | string[]>): Promise<[number, string]> =>
    new Promise((resolve, reject) => {
      const all = { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers };
      const request = httpRequest(server.url + MAPS, { method: 'POST', headers: all }, async (answer) => {
        const text = await new Response(answer as never).text();
        resolve([answer.statusCode ?? 0, JSON.parse(text).message]);
      });
      request.once('error', reject).end(JSON.stringify(configMap('a')));
    });
  t.match(await ask('admin', { 'impersonate-user': 'ann' }), [403, /User "ann" cannot create/]);
  t.match(await ask('viewer', { 'impersonate-user': 'admin' }), [
    403,
    'users "admin" is forbidden: User "viewer" cannot impersonate resource "users" in API group "" at the cluster scope',
  ]);
  const groups = { 'impersonate-group': ['x', ADMINISTRATORS] };
  t.match(await ask('admin', groups), [400, /Impersonate-User: is required/]);
  t.match(await ask('admin', { 'impersonate-user': 'ann', ...groups }), [201]);
});

t.test('who has no role learns what the server is, and nothing of what is in it', async (t) => {
  const server = await TestServer.start(t);
  const token = 'nobody';
  for (const path of ['/version', '/api', '/apis', '/apis/apps/v1', '/openapi/v2', '/openapi/v3/apis/apps/v1']) {
    t.equal((await server.get(path, { token })).code, 200, path);
  }
  for (const path of [MAPS, '/metrics', '/apisx', '/api/v1/nodes']) {
    t.equal((await server.get(path, { token })).code, 403, path);
  }
  t.match(await server.get(MAPS, { token }), { body: { message: /User "nobody" cannot list resource "configmaps"/ } });
  const one = await server.ask('DELETE', '/apis/apps/v1/namespaces/default/deployments/web', undefined, { token });
  t.match(
    one.body.message,
    /^deployments.apps "web" is forbidden: User "nobody" cannot delete resource "deployments" /,
  );
});

t.test('tokens of a file: read again when it changes, kept when it breaks', async (t) => {
  const folder = join(t.testdir({ etc: {} }), 'etc');
  const file = join(folder, 'tokens.csv');
  const line = (i: number) => [...parseTokens(readFileSync(file, 'utf8'), file)][i];
  writeFileSync(file, '# ours\nabc,ann,1,"system:masters, more"\nde-f,"bob ""b""",2\r\n\nghi,carl,3,weft:viewers\n');
  t.same(line(0), { token: 'abc', user: { name: 'ann', groups: [ADMINISTRATORS, 'more'] } });
  t.same(line(1), { token: 'de-f', user: { name: 'bob "b"', groups: [] } });
  t.same(line(2), { token: 'ghi', user: { name: 'carl', groups: [VIEWERS] } });
  for (const [text, message] of [
    ['abc,ann', 'tokens.csv:1: must be token,user,uid'],
    ['a,b,c\na,d,e', 'tokens.csv:2: the token stands further up'],
    [',b,c', 'tokens.csv:1: the token is empty'],
    ['a,,c', 'the user has no name'],
    ['a,"b,c', 'a quote is not closed'],
    ['a,b,c, "weft:viewers,more"', 'stands within a field'],
  ] as const) {
    t.throws(() => parseTokens(text, 'tokens.csv'), { message: new RegExp(message) });
  }
  const authenticator = new Authenticator([]);
  const said: string[] = [];
  const stop = followTokens(
    file,
    (tokens) => authenticator.replaceTokens(tokens),
    (message) => said.push(message),
  );
  t.teardown(stop);
  const who = (token: string) =>
    authenticator.userOf({ headers: { authorization: `Bearer ${token}` } } as IncomingMessage, undefined).name;
  t.equal(who('abc'), 'ann');
  writeFileSync(file, 'nothing');
  await until(() => said.length > 0);
  t.match(said, [/stay as they were: .*tokens.csv:1/]);
  t.equal(who('abc'), 'ann');
  writeFileSync(file, 'new,dora,4\n');
  await until(() => {
    try {
      return who('new') === 'dora';
    } catch {
      return false;
    }
  });
  t.throws(() => who('abc'), { name: 'ApiError', message: /not known here/ });
  said.length = 0;
  renameSync(folder, `${folder}.away`);
  writeFileSync(folder, 'no folder any more');
  await until(() => said.length > 0);
  t.match(said, [/stay as they were: ENOTDIR/], 'not even where it cannot be looked for');
  t.equal(who('new'), 'dora');
  rmSync(folder);
  renameSync(`${folder}.away`, folder);
  t.throws(
    () =>
      followTokens(
        join(file, 'none'),
        () => {},
        () => {},
      ),
    { code: 'ENOTDIR' },
  );
});

async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 400 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 25));
}

/** Over TLS. */
async function serving(t: Test, authority: Authority, authenticator: Authenticator): Promise<ApiService> {
  const store = LmdbStore.open({ path: join(t.testdirName, 'store') });
  const { key, certificate } = await authority.server(['127.0.0.1', 'localhost']);
  const service = await ApiService.start({
    store,
    host: '127.0.0.1',
    port: 0,
    tls: { key, certificate, clientCa: authority.certificate },
    authenticate: (request, socket) => authenticator.userOf(request, socket),
    version: 'test',
    controllers: false,
    log: (message) => t.fail(message),
  });
  t.teardown(async () => {
    await service.close();
    await store.close();
  });
  return service;
}

t.test('a resumed session says of nobody who they are', async (t) => {
  const authority = await Authority.open(join(t.testdir(), 'pki'));
  const tokens = [{ token: 'admin', user: { name: 'admin', groups: [ADMINISTRATORS] } }];
  const { port } = await serving(t, authority, new Authenticator(tokens));
  const agent = new Agent({ ca: authority.certificate });
  const ask = (headers: Record<string, string>): Promise<[code: number, resumed: boolean]> =>
    new Promise((resolve, reject) => {
      const request = httpsRequest({ host: '127.0.0.1', port, path: MAPS, headers, agent }, (answer) => {
        const { socket } = answer as unknown as { socket: TLSSocket };
        answer.resume().once('close', () => resolve([answer.statusCode ?? 0, socket.isSessionReused()]));
      });
      request.once('error', reject).end();
    });
  const authorization = 'Bearer admin';
  t.same(await ask({ authorization }), [200, false]);
  t.same(await ask({ authorization }), [200, true], 'by token, as before');
  t.same(await ask({}), [401, true]);
});

t.test('an authority without its key is not made anew: all trust the one that was', async (t) => {
  const folder = join(t.testdir(), 'pki');
  const { certificate } = await Authority.open(folder);
  rmSync(join(folder, 'ca.key'));
  await t.rejects(Authority.open(folder), { message: /ca.key is missing/ });
  t.equal(readFileSync(join(folder, 'ca.crt'), 'utf8'), certificate);
});

t.test('certificates of our own authority say who somebody is', async (t) => {
  const folder = t.testdir();
  const authority = await Authority.open(join(folder, 'pki'));
  const again = await Authority.open(join(folder, 'pki'));
  t.equal(again.certificate, authority.certificate, 'made once');
  t.equal(statSync(join(folder, 'pki', 'ca.key')).mode & 0o777, 0o600);
  t.match(readFileSync(join(folder, 'pki', 'ca.key'), 'utf8'), /BEGIN PRIVATE KEY/);
  const stranger = await Authority.open(join(folder, 'stranger'));
  const service = await serving(t, again, new Authenticator([]));
  const ask = (
    method: string,
    path: string,
    client: Certified | undefined,
    ca = authority.certificate,
  ): Promise<number> =>
    new Promise((resolve, reject) => {
      const credentials = client ? { cert: client.certificate, key: client.key } : {};
      const options = {
        host: '127.0.0.1',
        port: service.port,
        method,
        path,
        ca,
        agent: false as const,
        ...credentials,
      };
      const request = httpsRequest(options, (answer) => {
        answer.resume();
        resolve(answer.statusCode ?? 0);
      });
      request.once('error', reject);
      request.end(method === 'POST' ? '{}' : undefined);
    });
  const admin = await authority.client('admin', [ADMINISTRATORS]);
  const viewer = await authority.client('viewer', [VIEWERS, 'others']);
  t.equal(await ask('GET', MAPS, admin), 200);
  t.equal(await ask('GET', MAPS, viewer), 200);
  t.equal(await ask('POST', MAPS, viewer), 403);
  t.equal(await ask('POST', MAPS, admin), 400, 'may, but says nothing that could be made');
  t.equal(await ask('GET', MAPS, undefined), 401);
  t.equal(await ask('GET', MAPS, await stranger.client('admin', [ADMINISTRATORS])), 401, 'signed by somebody else');
  await t.rejects(ask('GET', MAPS, admin, stranger.certificate), /certificate/, 'the client checks the server too');
});
