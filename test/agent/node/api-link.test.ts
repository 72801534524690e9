/** The agent as a client of an API: what it owes for pods that it cannot run, and how it takes leave. */
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import t, { type Test } from 'tap';
import { ApiLink } from '../../../src/agent/node/api-link.ts';
import { agentSettings } from '../../../src/agent/options.ts';
import { silentServer } from '../../kube/api-access.ts';
import { FakeCollection } from '../../kube/fake-collection.ts';

const PODS = '/api/v1/namespaces/default/pods';

/** Of the node `a`, which runs nothing. */
async function linkTo(t: Test, server: string): Promise<ApiLink> {
  const folder = t.testdir();
  const kubeconfig = join(folder, 'kubeconfig');
  const named = (name: string, fields: object) => ({ name, ...fields });
  const config = {
    clusters: [named('x', { cluster: { server } })],
    users: [named('x', { user: { token: 'node-a' } })],
    contexts: [named('x', { context: { cluster: 'x', user: 'x' } })],
    'current-context': 'x',
  };
  writeFileSync(kubeconfig, JSON.stringify(config));
  // A socket's path may not be long; nobody makes this one.
  const options = { node: 'a', kubeconfig, stateDir: join(folder, 'state'), socketPath: join(tmpdir(), 'a.sock') };
  const link = new ApiLink(agentSettings(options), kubeconfig);
  // As an agent does when it reconciles.
  const reconcile = () => {
    link.source.current();
    link.look();
  };
  await link.source.start();
  link.serve({ notReady: '', runningPods: () => new Map(), noteProblems: () => {} });
  link.source.onChange(reconcile);
  reconcile();
  t.teardown(async () => {
    await link.source.close();
    await link.close('');
  });
  return link;
}

async function until(what: () => boolean, message: string): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!what()) {
    if (Date.now() > deadline) throw new Error(`not within 10 s: ${message}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

t.test('a pod that cannot be run as it is written is told why, and goes when it is deleted', async (t) => {
  const server = await FakeCollection.start(t, '/api/v1/pods');
  const fields = {
    metadata: { uid: 'u', annotations: { 'weft.dev/weight': 'heavy' } },
    spec: { nodeName: 'a', containers: [{ name: 'c' }] },
  };
  const told: string[] = [];
  server.intercept = (url, response) => {
    const { method } = response.req;
    if (!url.pathname.startsWith(`${PODS}/web`)) return false;
    void text(response.req).then((body) => {
      told.push(`${method} ${JSON.parse(body).status?.message ?? ''}`);
      response.end(JSON.stringify({ ...server.objects.get('web'), ...JSON.parse(body) }));
    });
    return true;
  };
  server.put('web', fields);
  await linkTo(t, server.url);
  await until(() => told.length > 0, 'it is told');
  t.match(told, [/^PATCH .*: must be a whole number from 1 to 99999, not "heavy"$/]);
  server.put('web', { ...fields, metadata: { ...fields.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } });
  await until(() => told.includes('DELETE '), 'it goes');
});

t.test('an API that answers nothing holds up no end', async (t) => {
  const link = await linkTo(t, await silentServer(t));
  link.happened({ namespace: 'default', name: 'web', uid: 'u', type: 'Normal', reason: 'Started', message: '' });
  await new Promise((resolve) => setTimeout(resolve, 20));
  const began = performance.now();
  await link.close('the agent was stopped');
  t.ok(performance.now() - began < 1000);
});
