/** `weft get`, `apply`, `delete`, `logs` and `exec` against an API server, by what they print and their exit codes. */

import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import WebSocketClient, { type WebSocket, WebSocketServer } from 'ws';
import { parse, stringify } from 'yaml';
import { LmdbStore } from '../../src/apiserver/store/lmdb-store.ts';
import { execByApi } from '../../src/cli/api-exec.ts';
import { apply } from '../../src/cli/apply-action.ts';
import { deleteObjects } from '../../src/cli/delete-action.ts';
import { type GetOptions, get } from '../../src/cli/get-action.ts';
import { podName } from '../../src/cli/logs-action.ts';
import { ApiClient } from '../../src/kube/api-client.ts';
import { TestServer } from '../apiserver/test-server.ts';
import { apiAccess } from '../kube/api-access.ts';

const FILE = `apiVersion: v1
kind: Pod
metadata: {name: web-0, labels: {app: web}}
spec: {containers: [{name: c, image: nginx, ports: [{name: http, containerPort: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, labels: {app: web}}
spec: {selector: {app: web}, ports: [{name: http, port: 80}, {name: more, port: 81}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: dep}
spec:
  replicas: 2
  selector: {matchLabels: {app: dep}}
  template:
    metadata: {labels: {app: dep}}
    spec: {containers: [{name: c, image: nginx}]}
`;

interface Said {
  code: number;
  out: string;
  err: string;
}

class Shell {
  readonly t: Test;
  readonly server: TestServer;
  readonly folder: string;
  readonly kubeconfig: string;

  constructor(t: Test, server: TestServer) {
    this.t = t;
    this.server = server;
    const config = {
      clusters: [{ name: 'c', cluster: { server: server.url } }],
      users: [{ name: 'u', user: { token: 'admin' } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    };
    this.folder = t.testdir({ config: stringify(config), 'all.yaml': FILE });
    this.kubeconfig = join(this.folder, 'config');
  }

  async say(run: () => Promise<number>): Promise<Said> {
    const out = this.t.capture(console, 'log');
    const err = this.t.capture(console, 'error');
    try {
      const code = await run();
      const lines = (captured: typeof out) => captured().map(({ args }) => String(args[0]));
      return { code, out: lines(out).join('\n'), err: lines(err).join('\n') };
    } finally {
      out.restore();
      err.restore();
    }
  }

  get(words: string, options: Partial<GetOptions> = {}): Promise<Said> {
    return this.say(() => get(words.split(' '), { kubeconfig: this.kubeconfig, headers: true, ...options }));
  }

  apply(file: string, options: { dryRun?: 'server'; namespace?: string } = {}): Promise<Said> {
    const { kubeconfig } = this;
    return this.say(() => apply({ kubeconfig, filename: [join(this.folder, file)], dryRun: 'none', ...options }));
  }

  delete(words: string[], options: Partial<Parameters<typeof deleteObjects>[1]> = {}): Promise<Said> {
    const usual = { kubeconfig: this.kubeconfig, cascade: 'background', wait: true, timeout: 5 } as const;
    return this.say(() => deleteObjects(words, { ...usual, ...options }));
  }
}

t.test('apply makes, changes, leaves alone', async (t) => {
  const server = await TestServer.start(t);
  const shell = new Shell(t, server);
  t.match(await shell.apply('all.yaml', { dryRun: 'server' }), {
    code: 0,
    out: /pod\/web-0 created \(server dry run\)/,
  });
  t.match(await shell.apply('all.yaml'), {
    code: 0,
    out: 'pod/web-0 created\nservice/web created\ndeployment.apps/dep created',
  });
  t.match((await shell.apply('all.yaml')).out, /web-0 unchanged\nservice\/web unchanged\n.*dep unchanged/);
  const scale = [{ op: 'replace', path: '/spec/replicas', value: 5 }];
  const deployment = '/apis/apps/v1/namespaces/default/deployments/dep';
  await server.ask('PATCH', deployment, scale, { type: 'application/json-patch+json' });
  const less = FILE.replace(', {name: more, port: 81}', '').replace('  replicas: 2\n', '');
  writeFileSync(join(shell.folder, 'all.yaml'), less);
  t.match((await shell.apply('all.yaml')).out, /web-0 unchanged\nservice\/web configured\n.*dep configured/);
  t.match((await server.get('/api/v1/namespaces/default/services/web')).body.spec.ports, { length: 1 });
  t.equal(
    (await server.get(deployment)).body.spec.replicas,
    1,
    'what was applied and is not wanted goes to its default',
  );
});

t.test('what is wrong with a file is said with its line, the rest of it is applied', async (t) => {
  const shell = new Shell(t, await TestServer.start(t));
  const zoo = 'apiVersion: example.org/v1\nkind: Zoo\nmetadata: {name: z}\n';
  writeFileSync(join(shell.folder, 'bad.yaml'), `${FILE}---\n${zoo}---\na: [`);
  const said = await shell.apply('bad.yaml');
  t.equal(said.code, 1);
  t.match(said.out, /pod\/web-0 created\nservice\/web created/);
  t.match(said.err, /bad\.yaml:\d+: Zoo default\/z: kind: no matches for kind Zoo in version example\.org\/v1/);
});

t.test('get shows tables, names and whole objects', async (t) => {
  const shell = new Shell(t, await TestServer.start(t));
  await shell.apply('all.yaml');
  t.match(await shell.get('pods'), { code: 0, out: /^NAME +READY +STATUS +RESTARTS +AGE\nweb-0 +0\/1 +Pending +0/ });
  t.match((await shell.get('po', { output: 'wide', headers: false })).out, /^web-0 .*<none>/);
  t.match((await shell.get('svc,deploy')).out, /^NAME .*\nservice\/web [\s\S]*\n\nNAME .*\ndeployment\.apps\/dep /);
  t.match((await shell.get('all', { output: 'name' })).out, 'pod/web-0\nservice/web\ndeployment.apps/dep');
  t.match((await shell.get('pods', { allNamespaces: true })).out, /^NAMESPACE +NAME .*\ndefault +web-0 /);
  t.match((await shell.get('svc', { selector: 'app!=web' })).err, 'No resources found in default namespace.');
  t.match(parse((await shell.get('pod web-0', { output: 'yaml' })).out), { kind: 'Pod', metadata: { name: 'web-0' } });
  const list = JSON.parse((await shell.get('pods', { output: 'json' })).out);
  t.match(list, { kind: 'List', items: [{ apiVersion: 'v1', kind: 'Pod' }] });
  t.match(await shell.get('pod/web-0 svc/none'), { code: 1, out: /pod\/web-0/, err: /services "none" not found/ });
  t.match(await shell.get('pod none', { ignoreNotFound: true }), { code: 0, out: '', err: '' });
  await t.rejects(get(['nonsense'], { kubeconfig: shell.kubeconfig, headers: true }), /doesn't have a resource type/);
});

t.test('get -w goes on with what changes', async (t) => {
  const server = await TestServer.start(t);
  const shell = new Shell(t, server);
  await shell.apply('all.yaml');
  const lines: string[] = [];
  const out = t.capture(console, 'log', (line: string) => lines.push(line));
  void get(['pods'], { kubeconfig: shell.kubeconfig, headers: true, watch: true }).catch(() => {});
  for (let i = 0; i < 100 && lines.length < 1; i++) await sleep(10);
  const status = { status: { phase: 'Running' } };
  const path = '/api/v1/namespaces/default/pods/web-0/status';
  await server.ask('PATCH', path, status, { type: 'application/merge-patch+json' });
  for (let i = 0; i < 200 && lines.length < 2; i++) await sleep(10);
  out.restore();
  t.match(lines[0], /^NAME .*\nweb-0 .*Pending/);
  t.match(lines[1], /^web-0 +0\/1 +Running/);
});

t.test('delete by file, by name, by label; what is not there is an error', async (t) => {
  const shell = new Shell(t, await TestServer.start(t));
  await shell.apply('all.yaml');
  t.match(await shell.delete(['svc', 'web']), { code: 0, out: 'service "web" deleted' });
  t.match(await shell.delete(['svc', 'web']), { code: 1, err: /services "web" not found/ });
  t.match(await shell.delete(['svc', 'web'], { ignoreNotFound: true }), { code: 0, err: '' });
  t.match(await shell.delete(['pods'], { selector: 'app=web', force: true }), { out: 'pod "web-0" force deleted' });
  const rest = await shell.delete([], { filename: [join(shell.folder, 'all.yaml')], ignoreNotFound: true });
  t.match(rest, { code: 0, out: 'deployment.apps "dep" deleted' });
  await t.rejects(
    deleteObjects(['pods'], { kubeconfig: shell.kubeconfig, cascade: 'background', wait: true, timeout: 5 }),
    /-l SELECTOR or --all/,
  );
});

t.test('a list is read in pages', async (t) => {
  const store = LmdbStore.open({ path: join(t.testdir(), 'store') });
  t.teardown(() => store.close());
  const shell = new Shell(t, await TestServer.start(t, false, { store }));
  const writes = Array.from({ length: 620 }, (_, i) => {
    const metadata = { name: `m${String(i).padStart(3, '0')}`, namespace: 'default' };
    const value = Buffer.from(JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata }));
    return { type: 'put' as const, key: `/registry/configmaps/default/${metadata.name}`, value };
  });
  await store.commit({ conditions: [], writes });
  const ask = ApiClient.prototype.request;
  const queries: unknown[] = [];
  t.intercept(ApiClient.prototype, 'request', {
    value(this: ApiClient, ...args: Parameters<ApiClient['request']>) {
      if (args[1].endsWith('/configmaps')) queries.push(args[2]?.query?.limit);
      return ask.apply(this, args);
    },
  });
  const table = (await shell.get('cm')).out.split('\n');
  t.equal(table.length, 621);
  t.match(table.at(-1), /^m619 /);
  t.equal((await shell.get('cm', { output: 'name' })).out.split('\n').length, 620);
  t.same(queries, [500, 500, 500, 500]);
});

t.test('get -w says the columns with the first row, whenever that comes', async (t) => {
  const server = await TestServer.start(t);
  const shell = new Shell(t, server);
  const lines: string[] = [];
  const out = t.capture(console, 'log', (line: string) => lines.push(line));
  void get(['pods'], { kubeconfig: shell.kubeconfig, headers: true, watch: true }).catch(() => {});
  await sleep(100);
  await apply({ kubeconfig: shell.kubeconfig, filename: [join(shell.folder, 'all.yaml')], dryRun: 'none' });
  for (let i = 0; i < 200 && !lines.join().includes('NAME '); i++) await sleep(10);
  out.restore();
  t.match(
    lines.find((line) => line.includes('web-0  ')),
    /^NAME +READY .*\nweb-0 /,
  );
});

t.test('get -w begins no watch at once again that ended at once', async (t) => {
  let watches = 0;
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://server');
    if (searchParams.has('watch')) watches++;
    const kinds = { resources: [{ name: 'pods', singularName: 'pod', kind: 'Pod', namespaced: true }] };
    const list = { kind: 'Table', metadata: { resourceVersion: '1' }, rows: [] };
    response.end(searchParams.has('watch') ? '' : JSON.stringify(pathname === '/api/v1' ? kinds : list));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const config = {
    clusters: [{ name: 'c', cluster: { server: `http://127.0.0.1:${port}` } }],
    users: [{ name: 'u', user: {} }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  };
  const kubeconfig = join(t.testdir({ config: stringify(config) }), 'config');
  const ended = get(['pods'], { kubeconfig, headers: true, watch: true });
  for (let i = 0; i < 200 && watches === 0; i++) await sleep(10);
  await sleep(200);
  t.ok(watches <= 2, `${watches} watches`);
  server.close();
  server.closeAllConnections();
  await t.rejects(ended, { code: 0 }, 'nobody is there when it comes again');
});

t.test('what may not be deleted keeps nothing else from it', async (t) => {
  const server = await TestServer.start(t);
  const shell = new Shell(t, server);
  await shell.apply('all.yaml');
  const said = await shell.delete(['ns/default', 'svc/web']);
  t.match(said, { code: 1, out: 'service "web" deleted', err: /namespaces "default" is forbidden/ });
});

t.test('names of pods', async (t) => {
  t.equal(podName('web-0'), 'web-0');
  t.equal(podName('pod/web-0'), 'web-0');
  t.throws(() => podName('deploy/web'), /write POD/);
});

t.test('exec speaks v5.channel.k8s.io', async (t) => {
  const asked: string[] = [];
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => 'v5.channel.k8s.io' });
  const server = createServer().listen(0, '127.0.0.1');
  server.on('upgrade', (request, socket, head) => {
    asked.push(request.url ?? '');
    if (request.url?.includes('/none/')) {
      const body = JSON.stringify({ kind: 'Status', message: 'pods "none" not found' });
      socket.end(`HTTP/1.1 404 Not Found\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
      return;
    }
    sockets.handleUpgrade(request, socket, head, (ws) => answer(ws));
  });
  const answer = (ws: WebSocket): void => {
    const status = {
      status: 'Failure',
      reason: 'NonZeroExitCode',
      details: { causes: [{ reason: 'ExitCode', message: '7' }] },
    };
    ws.send(Buffer.from('\x01hello\n', 'latin1'));
    ws.send(Buffer.concat([Buffer.from([3]), Buffer.from(JSON.stringify(status))]));
    ws.close();
  };
  await new Promise((resolve) => server.once('listening', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const client = new ApiClient(apiAccess(`http://127.0.0.1:${port}`, 'secret'));
  t.teardown(() => client.close());
  const parts: string[] = [];
  const out = t.capture(process.stdout, 'write', (part: unknown) => parts.push(String(part)) > 0);
  const code = await execByApi(client, { namespace: 'default', pod: 'web-0', command: ['echo', 'a b'], tty: false });
  out.restore();
  t.equal(code, 7);
  t.match(parts.join(''), 'hello\n');
  t.match(
    asked[0],
    /^\/api\/v1\/namespaces\/default\/pods\/web-0\/exec\?command=echo&command=a\+b&stdin=true&stdout=true/,
  );
  const pauses: boolean[] = [];
  const slow = t.capture(process.stdout, 'write', () => {
    pauses.push(true);
    setTimeout(() => process.stdout.emit('drain'), 50);
    return false;
  });
  const pause = t.capture(WebSocketClient.prototype, 'pause', WebSocketClient.prototype.pause);
  await execByApi(client, { namespace: 'default', pod: 'web-0', command: ['yes'], tty: false });
  slow.restore();
  t.equal(pause().length, 1, 'whoever reads slowly holds the command back');
  await t.rejects(execByApi(client, { namespace: 'default', pod: 'none', command: ['true'], tty: false }), {
    message: 'pods "none" not found',
  });
});
