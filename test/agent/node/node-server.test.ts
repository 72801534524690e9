/** The node's server and the API server before it: who is let in, what is refused and how, bounds, nodes that are dead. */
import { once } from 'node:events';
import { request as httpsRequest } from 'node:https';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { createServer as createTlsServer } from 'node:tls';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { HeaderCodec } from '../../../src/agent/node/streams/spdy-headers.ts';
import { ADMINISTRATORS, NODES, VIEWERS } from '../../../src/apiserver/access/access.ts';
import { Authority, type Certified } from '../../../src/apiserver/access/authority.ts';
import { TestServer } from '../../apiserver/test-server.ts';
import { dataFrame, openFrame } from './streams/stream-client.ts';
import { nodeObject, StreamCluster } from './streams/stream-cluster.ts';

interface Answer {
  code: number;
  body: string;
}

/** `upgrade`: to a WebSocket, of v5 unless another protocol is named, or to SPDY. */
function ask(
  port: number,
  path: string,
  client: Certified | undefined,
  ca: string,
  more: { method?: string; upgrade?: string; protocol?: string } = {},
): Promise<Answer> {
  const { method = 'GET', upgrade, protocol } = more;
  const headers = upgrade
    ? {
        connection: 'Upgrade',
        upgrade,
        'sec-websocket-key': Buffer.alloc(16).toString('base64'),
        'sec-websocket-version': '13',
        'sec-websocket-protocol': protocol ?? 'v5.channel.k8s.io',
        ...(protocol ? { 'x-stream-protocol-version': protocol } : {}),
      }
    : {};
  return new Promise((resolve, reject) => {
    const credentials = client ? { cert: client.certificate, key: client.key } : {};
    const options = { host: '127.0.0.1', port, path, method, headers, ca, agent: false as const, ...credentials };
    // Whose names stand in a node's certificate is not what is tried here.
    const request = httpsRequest({ ...options, checkServerIdentity: () => undefined }, (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      answer.once('end', () => resolve({ code: answer.statusCode ?? 0, body }));
    });
    request.once('upgrade', (answer, socket) => {
      socket.destroy();
      resolve({ code: answer.statusCode ?? 0, body: '' });
    });
    request.once('error', reject);
    request.end();
  });
}

t.test('the node lets in administrators of its own cluster alone', async (t) => {
  const cluster = await StreamCluster.start(t);
  const { authority, nodePort } = cluster;
  const admin = await authority.client('weft:apiserver', [ADMINISTRATORS]);
  const viewer = await authority.client('viewer', [VIEWERS]);
  const other = await authority.node('b');
  const stranger = await (await Authority.open(join(cluster.folder, 'other'))).client('weft:apiserver', [
    ADMINISTRATORS,
  ]);
  const get = (path: string, client?: Certified) => ask(nodePort, path, client, authority.certificate);
  t.match(await get('/healthz', admin), { code: 200, body: 'ok' });
  for (const client of [viewer, other]) {
    for (const path of ['/healthz', '/containerLogs/default/web/main']) {
      t.match(await get(path, client), { code: 403, body: /is not in the group system:masters/ });
    }
    const exec = ask(nodePort, '/exec/default/web/main?command=true&output=1', client, authority.certificate, {
      upgrade: 'websocket',
    });
    t.equal((await exec).code, 403);
  }
  await t.rejects(get('/healthz', stranger));
  await t.rejects(get('/healthz'));
  const kubeadms = await authority.client('kube-apiserver-kubelet-client', ['kubeadm:cluster-admins']);
  t.match(await get('/healthz', kubeadms), { code: 200 }, 'as API servers of kubeadm come');
});

t.test('what it shows may be renewed, and whom it knows', async (t) => {
  const { authority, nodePort, node, folder } = await StreamCluster.start(t);
  const next = await Authority.open(join(folder, 'next'));
  const identity = await next.node('a');
  const client = await next.client('weft:apiserver', [ADMINISTRATORS]);
  await t.rejects(ask(nodePort, '/healthz', client, authority.certificate));
  node.renew({ ...identity, authority: next.certificate });
  t.match(await ask(nodePort, '/healthz', client, next.certificate), { code: 200 });
});

t.test('connections that say nothing hold up no end', async (t) => {
  const { node, nodePort } = await StreamCluster.start(t);
  const silent = connect(nodePort, '127.0.0.1').on('error', () => {});
  await new Promise((done) => silent.once('connect', done));
  const closed = new Promise((done) => silent.once('close', done));
  const began = performance.now();
  await node.close();
  t.ok(performance.now() - began < 1000);
  await closed;
});

t.test('a command may be long', async (t) => {
  const { authority, nodePort } = await StreamCluster.start(t);
  const admin = await authority.client('weft:apiserver', [ADMINISTRATORS]);
  const path = `/exec/default/web/main?command=true&output=1&command=${'x'.repeat(60_000)}`;
  t.match(await ask(nodePort, path, admin, authority.certificate, { upgrade: 'websocket' }), { code: 101 });
});

t.test('what cannot be done is said in a sentence', async (t) => {
  const { authority, nodePort, ...cluster } = await StreamCluster.start(t);
  const admin = await authority.client('weft:apiserver', [ADMINISTRATORS]);
  const get = (path: string, more?: { method?: string; upgrade?: string }) =>
    ask(nodePort, path, admin, authority.certificate, more);
  for (const [path, code, body] of [
    ['/', 404, /nothing is served here/],
    ['/containerLogs/default/web', 404, /nothing/],
    ['/containerLogs/default/web/main/x', 404, /nothing/],
    ['/containerLogs/%zz/web/main', 400, /cannot be read/],
    ['/containerLogs/default/other/main', 404, /no pod default\/other runs here/],
    ['/containerLogs/default/web/late', 400, /container "late" in pod "web" is waiting to start/],
    ['/containerLogs/default/web/main?tailLines=-1', 400, /tailLines: is not a whole number: -1/],
    ['/containerLogs/default/web/main?sinceTime=soon', 400, /sinceTime: is no time: soon/],
    ['/exec/default/web/main?command=true&output=1', 400, /Upgrade request required/],
    ['/attach/default/web/main?output=1', 400, /Upgrade request required/],
    ['/portForward/default/web', 400, /Upgrade request required/],
    ['/portForward/default/web/main', 404, /nothing/],
    ['/portForward/default', 404, /nothing/],
  ] as const) {
    t.match(await get(path), { code, body }, path);
  }
  t.equal((await get('/containerLogs/default/web/main', { method: 'DELETE' })).code, 405);
  for (const [path, code, body, upgrade] of [
    ['/exec/default/web/main?output=1', 400, /specify a command/, 'websocket'],
    ['/exec/default/web/main?command=true', 400, /at least 1 of stdin/, 'websocket'],
    ['/attach/default/web/main', 400, /at least 1 of stdin/, 'websocket'],
    ['/attach/default/other/main?output=1', 404, /no pod default\/other runs here/, 'websocket'],
    ['/exec/default/web/main?command=a%00b&output=1', 400, /zero byte/, 'websocket'],
    ['/exec/default/web/late?command=true&output=1', 400, /container "late" in pod "web" is not running/, 'websocket'],
    ['/exec/default/web/main?command=true&output=1', 400, /an upgrade to h2c is not served/, 'h2c'],
    ['/exec/default/web/main?command=true&output=1', 400, /none of the protocols/, 'SPDY/3.1'],
    ['/containerLogs/default/web/main', 400, /does not take an upgrade/, 'websocket'],
    ['/portForward/default/other', 404, /no pod default\/other runs here/, 'SPDY/3.1'],
    ['/portForward/default/web', 400, /served portforward.k8s.io$/, 'SPDY/3.1'],
    ['/portForward/default/web', 400, /served SPDY\/3.1\+portforward.k8s.io$/, 'websocket'],
    ['/portForward/default/web', 400, /an upgrade to h2c is not served/, 'h2c'],
  ] as const) {
    t.match(await get(path, { upgrade }), { code, body }, `${path} ${upgrade}`);
  }
  t.strictSame(cluster.log, []);
});

t.test('sessions are bounded in number and in idle time, and end with the server', async (t) => {
  const never = async function* (_: unknown, signal: AbortSignal): AsyncIterable<Buffer> {
    yield Buffer.from('first\n');
    await new Promise((done) => signal.addEventListener('abort', done));
  };
  const limits = { mostSessions: 2, idleMs: 2000, pingMs: 100 };
  const { authority, nodePort, node } = await StreamCluster.start(t, never, limits);
  const admin = await authority.client('weft:apiserver', [ADMINISTRATORS]);
  const tls = { cert: admin.certificate, key: admin.key, rejectUnauthorized: false };
  const exec = (): Promise<WebSocket> => {
    const words = ['sh', '-c', 'trap "" HUP; read line; echo $$; while :; do sleep 1; done']
      .map((word) => `command=${encodeURIComponent(word)}`)
      .join('&');
    const url = `wss://127.0.0.1:${nodePort}/exec/default/web/main?${words}&output=1&input=1`;
    const socket = new WebSocket(url, ['v5.channel.k8s.io'], tls);
    return new Promise((done, fail) => socket.once('open', () => done(socket)).once('error', fail));
  };
  const first = await exec();
  const second = await exec();
  const refused = await ask(nodePort, '/containerLogs/default/web/main?follow=1', admin, authority.certificate);
  t.match(refused, { code: 429, body: /more than 2 logs, commands and port forwards/ });
  await t.rejects(exec(), /429/);
  const talk = setInterval(() => first.send('\0x'), 20);
  await closeOf(second);
  t.equal(first.readyState, WebSocket.OPEN, 'one that is used stays');
  const third = await exec();
  clearInterval(talk);
  const ended = Promise.all([first, third].map(closeOf));
  first.send('\0\n');
  const pid = Number((await new Promise<Buffer>((done) => first.once('message', done))).subarray(1).toString());
  t.ok(isThere(pid));
  await node.close();
  await ended;
  t.notOk(isThere(pid), 'and a command that will not be hung up');
});

t.test('a port forward that nobody uses ends', async (t) => {
  const limits = { idleMs: 600, pingMs: 50 };
  const { authority, nodePort } = await StreamCluster.start(t, undefined, limits);
  const admin = await authority.client('weft:apiserver', [ADMINISTRATORS]);
  const echo = createServer((socket) => socket.on('error', () => {}).pipe(socket));
  await new Promise<void>((done) => echo.listen(0, '127.0.0.1', done));
  t.teardown(() => echo.close());
  const port = `${(echo.address() as AddressInfo).port}`;
  const forward = async (): Promise<Duplex> => {
    const headers = { connection: 'Upgrade', upgrade: 'SPDY/3.1', 'x-stream-protocol-version': 'portforward.k8s.io' };
    const path = '/portForward/default/web';
    const tls = { cert: admin.certificate, key: admin.key, ca: authority.certificate };
    const asked = httpsRequest({
      ...{ host: '127.0.0.1', port: nodePort, path, method: 'POST', headers, agent: false, ...tls },
      checkServerIdentity: () => undefined,
    });
    asked.end();
    const [, socket] = (await once(asked, 'upgrade')) as [unknown, Duplex];
    const codec = new HeaderCodec();
    for (const [id, streamtype] of [
      [1, 'error'],
      [3, 'data'],
    ] as const) {
      socket.write(await openFrame(codec, id, { streamtype, port, requestid: '0' }));
    }
    codec.close();
    return socket.resume();
  };
  const [used, idle] = [await forward(), await forward()];
  const talk = setInterval(() => used.write(dataFrame(3, Buffer.from('hello'))), 50);
  t.teardown(() => clearInterval(talk));
  await once(idle, 'close');
  t.notOk(used.destroyed, 'one that is used stays');
  clearInterval(talk);
  await once(used, 'close');
});

t.test('the API server answers for nodes that do not, in a few seconds', { timeout: 25_000 }, async (t) => {
  const cluster = await StreamCluster.start(t);
  const { authority } = cluster;
  const admin = await authority.client('admin', [ADMINISTRATORS]);
  const closed = await portOf(t, 'closed');
  const silent = await portOf(t, 'silent');
  const liar = await portOf(t, await authority.node('another'));
  const stranger = await portOf(t, await (await Authority.open(join(cluster.folder, 'other'))).node('stranger'));
  for (const [name, port] of Object.entries({ closed, silent, liar, stranger })) {
    await cluster.create('nodes', nodeObject(name, port));
  }
  await cluster.create('nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: 'mute' } });
  const cases: [string, number, RegExp][] = [
    ['closed', 503, /node \\"closed\\" does not answer at 127.0.0.1 port \d+: .*ECONNREFUSED/],
    ['silent', 503, /nothing came in 4000 ms/],
    ['liar', 503, /its certificate is of system:node:another/],
    ['stranger', 503, /does not answer.*certificate/],
    ['mute', 503, /status.addresses names no InternalIP/],
    ['', 400, /does not have a host assigned/],
  ];
  const tries = cases.map(async ([node, code, body]) => {
    const pod = `on-${node || 'none'}`;
    await cluster.create('pods', {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: pod },
      spec: { containers: [{ name: 'main', image: 'x' }], ...(node ? { nodeName: node } : {}) },
    });
    const path = `/api/v1/namespaces/default/pods/${pod}`;
    const startMs = Date.now();
    const { port } = cluster.service;
    const [log, exec] = await Promise.all([
      ask(port, `${path}/log`, admin, authority.certificate),
      ask(port, `${path}/exec?command=true&stdout=1`, admin, authority.certificate, { upgrade: 'websocket' }),
    ]);
    t.match(log, { code, body: /"kind":"Status"/ }, `${node} is a Status`);
    t.match(log.body, body);
    t.match(exec, { code, body });
    t.ok(Date.now() - startMs < 5000, `${node} in time`);
  });
  await Promise.all(tries);
});

t.test('who may read logs and who may run commands', async (t) => {
  const cluster = await StreamCluster.start(t, async function* () {
    yield Buffer.from('said\n');
  });
  const { authority } = cluster;
  const pod = '/api/v1/namespaces/default/pods/web';
  const users = {
    admin: await authority.client('admin', [ADMINISTRATORS]),
    viewer: await authority.client('viewer', [VIEWERS]),
    node: await authority.client('system:node:a', [NODES]),
    stranger: undefined,
  };
  const codes: Record<string, number[]> = {};
  for (const [name, client] of Object.entries(users)) {
    const get = (path: string, more?: { method?: string; upgrade?: string; protocol?: string }) =>
      ask(cluster.service.port, `${pod}${path}`, client, authority.certificate, more);
    const exec = '/exec?container=main&command=true&stdout=1';
    codes[name] = [
      (await get('/log')).code,
      (await get(exec, { upgrade: 'websocket' })).code,
      (await get(exec, { method: 'POST', upgrade: 'SPDY/3.1' })).code,
      (await get(exec)).code,
      (await get('/attach?container=main&stdout=1', { upgrade: 'websocket' })).code,
      (await get('/portforward', { upgrade: 'websocket', protocol: 'SPDY/3.1+portforward.k8s.io' })).code,
      (await get('/portforward', { method: 'POST', upgrade: 'SPDY/3.1', protocol: 'portforward.k8s.io' })).code,
      (await get('/portforward')).code,
    ];
  }
  t.strictSame(codes, {
    // Its SPDY names no protocol that the node knows.
    admin: [200, 101, 400, 400, 101, 101, 101, 400],
    viewer: [200, 403, 403, 403, 403, 403, 403, 403],
    node: [403, 403, 403, 403, 403, 403, 403, 403],
    stranger: [401, 401, 401, 401, 401, 401, 401, 401],
  });
  const get = (path: string) => ask(cluster.service.port, `${pod}${path}`, users.admin, authority.certificate);
  for (const [query, complaint] of [
    ['tailLines=-1', /tailLines: is not a whole number/],
    ['sinceSeconds=0', /sinceSeconds: must be at least 1/],
    ['limitBytes=0', /limitBytes: must be at least 1/],
    ['sinceTime=soon', /sinceTime: is no time/],
    ['sinceTime=2026-01-01T00:00:00Z&sinceSeconds=5', /at most one of/],
    ['container=nobody', /container nobody is not valid for pod web/],
  ] as const) {
    t.match(await get(`/log?${query}`), { code: 400, body: complaint }, query);
  }
  const plain = await ask(cluster.service.port, '/api/v1/namespaces', users.admin, authority.certificate, {
    upgrade: 'h2c',
  });
  t.match(plain, { code: 200, body: /NamespaceList/ }, 'an upgrade that nobody knows is passed over');
});

t.test('a server without a certificate for nodes says so', async (t) => {
  const server = await TestServer.start(t);
  await server.ask('POST', '/api/v1/namespaces/default/pods', {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'two' },
    spec: { nodeName: 'a', containers: [{ name: 'a', image: 'x' }] },
  });
  for (const part of ['log', 'exec?command=true&stdout=true']) {
    const answer = await server.get(`/api/v1/namespaces/default/pods/two/${part}`);
    t.match(answer, { code: 503, body: { reason: 'ServiceUnavailable', message: /--plain-http/ } });
  }
});

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function closeOf(socket: WebSocket): Promise<void> {
  if (socket.readyState !== WebSocket.CLOSED) await new Promise((done) => socket.once('close', done));
}

/** A port of somebody who is not the node that is asked for. */
async function portOf(t: Test, kind: 'closed' | 'silent' | Certified): Promise<number> {
  const server =
    typeof kind === 'string'
      ? createServer(() => {})
      : createTlsServer({ key: kind.key, cert: kind.certificate }, () => {});
  server.on('tlsClientError', () => {});
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  if (kind === 'closed') await new Promise((done) => server.close(done));
  else t.teardown(() => server.close());
  return port;
}
