/** `weft apiserver` as people start it: it serves, its files are private, a restart keeps what was made. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { parse } from 'yaml';
import { configMap } from './test-server.ts';

const main = fileURLToPath(
  new URL(`../../src/cli/main${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url),
);

interface Ended {
  code: number | null;
  stderr: string;
}

function start(
  t: Test,
  words: readonly string[],
): { child: ChildProcess; ended: Promise<Ended>; says: Promise<string> } {
  const child = spawn(process.execPath, [...process.execArgv, main, 'apiserver', ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
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

t.test('plain http is for loopback, etcd needs its members', async (t) => {
  const data = join(t.testdir(), 'data');
  const everywhere = await start(t, ['--data', data, '--plain-http', '--bind', '0.0.0.0']).ended;
  t.match(everywhere, { code: 1, stderr: /--plain-http lets everybody do everything/ });
  t.match(await start(t, ['--data', data, '--store', 'etcd']).ended, { code: 1, stderr: /needs --etcd-servers/ });
});
