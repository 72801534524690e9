/** Who may do what: tokens, roles, nodes; certificates over TLS; nobody without either. */

import { readFileSync, statSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import t from 'tap';
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
    ['PATCH', '/api/v1/nodes/a', { metadata: null }, 400],
    ['POST', EVENTS, event('mine', 'a'), 201],
    ['POST', EVENTS, event('silent'), 201],
    ['POST', EVENTS, event('forged', 'b'), 403],
    ['PATCH', `${EVENTS}/others`, { count: 2 }, 403],
    ['PATCH', `${EVENTS}/mine`, { count: 2 }, 200],
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

t.test('who has no role learns what the server is, and nothing of what is in it', async (t) => {
  const server = await TestServer.start(t);
  const token = 'nobody';
  for (const path of ['/version', '/api', '/apis', '/apis/apps/v1', '/openapi/v2', '/openapi/v3/apis/apps/v1']) {
    t.equal((await server.get(path, { token })).code, 200, path);
  }
  for (const path of [MAPS, '/metrics', '/apisx', '/api/v1/nodes']) {
    t.equal((await server.get(path, { token })).code, 403, path);
  }
});

t.test('tokens of a file: read again when it changes, kept when it breaks', async (t) => {
  const file = join(t.testdir(), 'tokens.csv');
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

t.test('certificates of our own authority say who somebody is', async (t) => {
  const folder = t.testdir();
  const authority = await Authority.open(join(folder, 'pki'));
  const again = await Authority.open(join(folder, 'pki'));
  t.equal(again.certificate, authority.certificate, 'made once');
  t.equal(statSync(join(folder, 'pki', 'ca.key')).mode & 0o777, 0o600);
  t.match(readFileSync(join(folder, 'pki', 'ca.key'), 'utf8'), /BEGIN PRIVATE KEY/);
  const stranger = await Authority.open(join(folder, 'stranger'));
  const store = LmdbStore.open({ path: join(folder, 'store') });
  const own = await again.server(['127.0.0.1', 'localhost']);
  const authenticator = new Authenticator([]);
  const service = await ApiService.start({
    store,
    host: '127.0.0.1',
    port: 0,
    tls: { key: own.key, certificate: own.certificate, clientCa: again.certificate },
    authenticate: (request, socket) => authenticator.userOf(request, socket),
    version: 'test',
    controllers: false,
    log: () => {},
  });
  t.teardown(async () => {
    await service.close();
    await store.close();
  });
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
