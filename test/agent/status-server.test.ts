/** The status interface: who may ask, what is answered, what a killed agent leaves. */
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { AgentError } from '../../src/agent/agent-error.ts';
import {
  agentDnsLog,
  agentDoctor,
  agentExplain,
  agentProbe,
  agentReady,
  agentServices,
  agentStatus,
} from '../../src/agent/client.ts';
import type { ServiceReport } from '../../src/agent/host/service-report.ts';
import type { AgentStatus, PeerStatus } from '../../src/agent/status.ts';
import { type StatusSource, serveStatus } from '../../src/agent/status-server.ts';
import type { Explanation } from '../../src/dns/explain.ts';
import type { QueryLogEntry } from '../../src/dns/query-log.ts';

const folder = mkdtempSync(join(tmpdir(), 'weft-status-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

const PEER = { node: 'hostb', address: '172.31.0.12', problems: [] } as unknown as PeerStatus;

function source(change: Partial<StatusSource> = {}): StatusSource {
  return {
    notReady: () => '',
    status: () => ({ node: 'hosta', generation: 7 }) as AgentStatus,
    services: (names) => names.map((name) => ({ name }) as ServiceReport),
    doctor: async () => [{ name: 'tun', ok: true, detail: '', remedy: '' }],
    explainName: async () => undefined,
    dnsLog: () => undefined,
    probe: async (host) => (host === undefined || host === 'hostb' ? [PEER] : []),
    ...change,
  };
}

let sockets = 0;
async function serving(change?: Partial<StatusSource>) {
  const path = join(folder, `${++sockets}.sock`);
  const server = await serveStatus(path, source(change));
  t.teardown(() => server.close());
  return { path, server };
}

t.test('answers to its own user only', async (t) => {
  const { path } = await serving();
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.same(await agentStatus(path), { node: 'hosta', generation: 7 });
  t.match(await agentDoctor(path), [{ name: 'tun', ok: true }]);
  t.same(await agentProbe(path, 'hostb'), [PEER]);
  t.same(await agentProbe(path), [PEER]);
});

t.test('names explained, and the questions that were kept', async (t) => {
  const { path } = await serving({
    explainName: async (pod, name) =>
      pod === 'web-0' ? ({ pod, name, tries: [] } as unknown as Explanation) : undefined,
  });
  t.same(await agentExplain(path, 'web-0', 'x'), { pod: 'web-0', name: 'x', tries: [] });
  await t.rejects(agentExplain(path, 'nobody', 'x'), { message: /no pod is called nobody/ });
  await t.rejects(agentExplain(path, 'web-0', ''), { message: /the body must be/ });
  await t.rejects(agentDnsLog(path), { message: /start it with --dns-log/ });
  const kept = await serving({ dnsLog: () => [{ name: 'web' } as QueryLogEntry] });
  t.match(await agentDnsLog(kept.path), [{ name: 'web' }]);
});

t.test('services by name', async (t) => {
  const { path } = await serving();
  t.same(await agentServices(path, ['web', 'default/x&y']), [{ name: 'web' }, { name: 'default/x&y' }]);
  t.same(await agentServices(path), []);
});

t.test('readiness carries its reason', async (t) => {
  let why = 'no Node hosta';
  const { path } = await serving({ notReady: () => why });
  t.same(await agentReady(path), { ready: false, why: 'no Node hosta' });
  why = '';
  t.same(await agentReady(path), { ready: true, why: '' });
});

t.test('an unknown host, a fault and an unknown path are errors with a sentence', async (t) => {
  const { path } = await serving({
    doctor: async () => {
      throw new AgentError('x', 'something is missing', 'install it');
    },
  });
  await t.rejects(agentProbe(path, 'hostz'), { message: 'no node is called hostz' });
  await t.rejects(agentDoctor(path), { message: 'something is missing: install it' });
  const code = await new Promise((done) => {
    request({ socketPath: path, path: '/nowhere' }, (response) => done(response.resume().statusCode)).end();
  });
  t.equal(code, 404);
});

t.test('bodies that are no request are refused, large ones not read', async (t) => {
  const { path } = await serving();
  const post = (body: string) =>
    new Promise<number | undefined>((done) => {
      const outgoing = request({ socketPath: path, path: '/probe', method: 'POST' }, (response) =>
        done(response.resume().statusCode),
      );
      outgoing.on('error', () => done(undefined));
      outgoing.end(body);
    });
  t.equal(await post('{'), 400);
  t.equal(await post('{"host": 7}'), 400);
  t.equal(await post('null'), 400);
  t.equal(await post(`{"host": "${'x'.repeat(5000)}"}`), 500);
  t.same(await agentReady(path), { ready: true, why: '' }, 'and it goes on');
});

t.test("a killed agent's socket is taken over, a living one's is not", async (t) => {
  const { path } = await serving();
  await t.rejects(serveStatus(path, source()), { code: 'agent-runs' });
  const stale = join(folder, 'stale.sock');
  writeFileSync(stale, '');
  const server = await serveStatus(stale, source());
  t.equal((await agentStatus(stale)).node, 'hosta');
  server.close();
});

t.test('nobody there, and one who does not answer', async (t) => {
  await t.rejects(agentStatus(join(folder, 'none.sock')), { code: 'no-agent' });
  const mute = createServer(() => {});
  const path = join(folder, 'mute.sock');
  await new Promise<void>((done) => mute.listen(path, done));
  await t.rejects(agentStatus(path, { timeoutMs: 50 }), { code: 'agent-silent' });
  mute.closeAllConnections();
  mute.close();
  const endless = createServer((_, response) => {
    const timer = setInterval(() => response.write(' '), 5);
    response.once('close', () => clearInterval(timer));
  });
  const drip = join(folder, 'drip.sock');
  await new Promise<void>((done) => endless.listen(drip, done));
  await t.rejects(agentStatus(drip, { timeoutMs: 300 }), { code: 'agent-silent' }, 'nor one who never ends');
  endless.close();
});

t.test('where no connection can be taken any more, nothing else ends', async (t) => {
  const { path, server } = await serving();
  for (let i = 0; i < 3; i++) server.emit('error', new Error('accept EMFILE'));
  t.equal((await agentStatus(path)).node, 'hosta');
});
