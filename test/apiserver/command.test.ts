/** `weft apiserver` as people start it: it serves, its files are private, a restart keeps what was made. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { parse } from 'yaml';
import { Authority } from '../../src/apiserver/access/authority.ts';
import { ADMIN, Identities } from '../../src/apiserver/access/identities.ts';
import { listenOnLoopback } from '../../src/lab/listening-socket.ts';
import { configMap } from './test-server.ts';

const main = fileURLToPath(
  new URL(`../../src/cli/main${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url),
);

const run = promisify(execFile);

interface Ended {
  code: number | null;
  stderr: string;
}

function start(
  t: Test,
  words: readonly string[],
  inherited: readonly number[] = [],
): { child: ChildProcess; ended: Promise<Ended>; says: Promise<string> } {
  const child = spawn(process.execPath, [...process.execArgv, main, 'apiserver', ...words], {
    stdio: ['ignore', 'pipe', 'pipe', ...inherited],
  });
  t.teardown(() => child.kill('SIGKILL'));
  let stderr = '';
  child.stderr?.on('data', (chunk) => {
    stderr += chunk;
  });
  const ended = new Promise<Ended>((resolve) => child.once('close', (code) => resolve({ code, stderr })));
  const says = new Promise<string>((resolve) => child.stdout?.once('data', (chunk) => resolve(String(chunk))));
  return { child, ended, says };
}

function ask(config: string, method: string, path: string, body?: unknown): Promise<{ code: number; text: string }> {
  const [cluster, user] = ['clusters', 'users'].map((list) => {
    const [first] =
      (parse(readFileSync(config, 'utf8')) as Record<string, Record<string, Record<string, string>>[]>)[list] ?? [];
    return first?.[list.slice(0, -1)] ?? {};
  }) as [Record<string, string>, Record<string, string>];
  const { server = '', 'certificate-authority-data': ca = '' } = cluster;
  const { 'client-certificate-data': cert = '', 'client-key-data': key = '' } = user;
  const pem = (data: string) => Buffer.from(data, 'base64');
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' };
    const options = { method, headers, ca: pem(ca), cert: pem(cert), key: pem(key), agent: false as const };
    const sent = request(new URL(path, server), options, (answer) => {
      let text = '';
      answer.on('data', (chunk) => {
        text += chunk;
      });
      answer.on('end', () => resolve({ code: answer.statusCode ?? 0, text }));
    });
    sent.once('error', reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

t.test('serves, ends on SIGTERM, begins again where it was', async (t) => {
  const data = join(t.testdir(), 'data');
  const words = ['--data', data, '--port', '0'];
  const first = start(t, words);
  t.match(await first.says, /serving https:\/\/127\.0\.0\.1:\d+\nkubectl --kubeconfig .*admin\.kubeconfig get all -A/);
  const admin = join(data, 'admin.kubeconfig');
  const viewer = join(data, 'viewer.kubeconfig');
  for (const file of [admin, viewer, join(data, 'pki', 'ca.key')]) t.equal(statSync(file).mode & 0o777, 0o600, file);
  const maps = '/api/v1/namespaces/default/configmaps';
  t.equal((await ask(admin, 'POST', maps, configMap('kept'))).code, 201);
  t.equal((await ask(viewer, 'GET', `${maps}/kept`)).code, 200);
  t.equal((await ask(viewer, 'DELETE', `${maps}/kept`)).code, 403);
  first.child.kill('SIGTERM');
  t.equal((await first.ended).code, 0);
  const second = start(t, words);
  await second.says;
  t.match(await ask(admin, 'GET', `${maps}/kept`), { code: 200, text: /"kept"/ });
  second.child.kill('SIGTERM');
  t.equal((await second.ended).code, 0);
});

t.test('kubeconfigs for nodes and users', async (t) => {
  const data = join(t.testdir(), 'data');
  const print = async (...words: string[]): Promise<string> => {
    const { stdout } = await run(process.execPath, [...process.execArgv, main, 'kubeconfig', '--data', data, ...words]);
    const path = join(t.testdirName, `${words.join('-').replace(/\W+/g, '-')}.kubeconfig`);
    writeFileSync(path, stdout);
    return path;
  };
  await t.rejects(print('--node', 'hosta'), /holds no certificate authority: weft apiserver --data/);
  const server = start(t, ['--data', data, '--port', '0']);
  await server.says;
  const nodes = '/api/v1/nodes';
  const node = (name: string) => ({ apiVersion: 'v1', kind: 'Node', metadata: { name } });
  const hosta = await print('--node', 'hosta');
  t.equal((await ask(hosta, 'POST', nodes, node('hosta'))).code, 201, 'a node makes itself');
  t.equal((await ask(hosta, 'POST', nodes, node('hostb'))).code, 403, 'and no other');
  const jane = await print('--user', 'jane', '--group', 'weft:viewers');
  t.equal((await ask(jane, 'GET', nodes)).code, 200);
  t.match(await ask(jane, 'DELETE', `${nodes}/hosta`), { code: 403, text: /jane/ });
  t.equal((await ask(await print(), 'DELETE', `${nodes}/hosta`)).code, 200, 'who says nothing is the administrator');
  t.match(readFileSync(await print('--server', 'https://api.example:1'), 'utf8'), /server: https:\/\/api\.example:1\n/);
  await t.rejects(print('--user', 'jane'), /--user needs --group/);
  await t.rejects(print('--node', 'a', '--user', 'b', '--group', 'c'), /cannot be used with/);
  server.child.kill('SIGTERM');
  t.equal((await server.ended).code, 0);
});

t.test("a node's certificate serves under its name", async (t) => {
  const authority = await Authority.open(join(t.testdir(), 'pki'));
  const { certificate } = await authority.node('hosta');
  const read = new X509Certificate(certificate);
  t.match(read.subject, /O=system:nodes\nCN=system:node:hosta/);
  t.equal(read.subjectAltName, 'DNS:hosta');
  t.same(read.keyUsage, ['1.3.6.1.5.5.7.3.2', '1.3.6.1.5.5.7.3.1'], 'client and server');
  t.ok(read.verify(new X509Certificate(authority.certificate).publicKey));
});

t.test('manifests are applied, and a socket that somebody made is served too', async (t) => {
  const folder = t.testdir({ manifests: { 'map.yaml': JSON.stringify(configMap('written')) } });
  const door = await listenOnLoopback();
  const data = join(folder, 'data');
  const words = ['--data', data, '--port', '0', '--manifests', join(folder, 'manifests'), '--listen-fd', '3'];
  const server = start(t, words, [door.fd]);
  door.close();
  await server.says;
  const config = join(folder, 'outside.kubeconfig');
  const { stdout } = await run(process.execPath, [
    ...[...process.execArgv, main, 'kubeconfig', '--data', data],
    ...['--server', `https://127.0.0.1:${door.port}`],
  ]);
  writeFileSync(config, stdout);
  const path = '/api/v1/namespaces/default/configmaps/written';
  for (let i = 0; i < 100 && (await ask(config, 'GET', path)).code !== 200; i++) await sleep(20);
  t.equal((await ask(config, 'GET', path)).code, 200, 'by the socket that was ours');
  t.equal((await ask(join(data, 'admin.kubeconfig'), 'GET', path)).code, 200, 'and by its own');
  server.child.kill('SIGTERM');
  t.equal((await server.ended).code, 0);
});

t.test('on a port that is taken it ends, whatever it had begun', async (t) => {
  const folder = t.testdir({ manifests: { 'map.yaml': JSON.stringify(configMap('written')) } });
  const door = await listenOnLoopback();
  t.teardown(() => door.close());
  const words = ['--data', join(folder, 'data'), '--manifests', join(folder, 'manifests')];
  const { ended } = start(t, [...words, '--port', `${door.port}`]);
  const tooLong = sleep(20_000, { code: 'it goes on', stderr: '' }, { ref: false });
  t.match(await Promise.race([ended, tooLong]), { code: 1, stderr: /EADDRINUSE/ });
});

t.test('certificates are kept until they no longer do', async (t) => {
  const folder = join(t.testdir(), 'pki');
  const open = () => Identities.open(folder);
  const first = await (await open()).server(['127.0.0.1', 'a.example']);
  t.same(await (await open()).server(['127.0.0.1', 'a.example']), first);
  t.same(await (await open()).server(['a.example']), first, 'fewer names are covered');
  const more = await (await open()).server(['127.0.0.1', 'b.example']);
  t.match(new X509Certificate(more.certificate).subjectAltName, /b\.example/);
  const admin = await (await open()).client(ADMIN);
  t.same(await (await open()).client(ADMIN), admin);
  t.not(
    (await (await open()).client({ name: 'admin', groups: ['others'] })).certificate,
    admin.certificate,
    'of another group',
  );
  writeFileSync(join(folder, 'admin.pem'), 'nonsense');
  t.match((await (await open()).client({ name: 'admin', groups: ['others'] })).certificate, /BEGIN CERTIFICATE/);
  for (const file of ['ca.key', 'ca.crt']) rmSync(join(folder, file));
  const others = await (await open()).server(['127.0.0.1', 'b.example']);
  t.not(others.certificate, more.certificate, 'of an authority that is another');
});

t.test('plain http is for loopback, etcd needs its members', async (t) => {
  const data = join(t.testdir(), 'data');
  const everywhere = await start(t, ['--data', data, '--plain-http', '--bind', '0.0.0.0']).ended;
  t.match(everywhere, { code: 1, stderr: /--plain-http lets everybody do everything/ });
  t.match(await start(t, ['--data', data, '--store', 'etcd']).ended, { code: 1, stderr: /needs --etcd-servers/ });
});
