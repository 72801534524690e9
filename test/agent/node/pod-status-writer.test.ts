/** What an API is told of a node's pods: only what it does not know, the last of many, later where it was away. */
import type { PodStatus } from 'kubernetes-types/core/v1.js';
import t, { type Test } from 'tap';
import { covers, PodStatusWriter, type RunningPod } from '../../../src/agent/node/pod-status-writer.ts';
import { ApiClient, ApiRequestError } from '../../../src/kube/api-client.ts';
import type { Pod } from '../../../src/kube/objects.ts';
import { TestServer } from '../../apiserver/test-server.ts';
import { apiAccess } from '../../kube/api-access.ts';

const PODS = '/api/v1/namespaces/default/pods';
const RUNNING: PodStatus = {
  phase: 'Running',
  podIP: '10.244.1.5',
  podIPs: [{ ip: '10.244.1.5' }, { ip: 'fd00::5' }],
  startTime: '2026-01-01T00:00:00Z',
  conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' }],
  containerStatuses: [
    {
      name: 'c',
      ready: true,
      restartCount: 0,
      image: 'i',
      imageID: '',
      state: { running: { startedAt: '2026-01-01T00:00:00Z' } },
    },
  ],
};

class Bench {
  readonly server: TestServer;
  readonly told = new Map<string, Pod>();
  readonly running = new Map<string, RunningPod>();
  readonly writer: PodStatusWriter;
  /** Method and path of what was asked. */
  readonly asked: string[] = [];
  isAway = false;
  /** How much the clock has gone on beside. */
  aheadMs = 0;
  /** What is answered instead, if anything. */
  answer: (method: string, path: string) => Promise<unknown> | undefined = () => undefined;

  constructor(t: Test, server: TestServer) {
    this.server = server;
    const client = new ApiClient(apiAccess(server.url, 'node-a'));
    const { request } = client;
    client.request = ((method: string, path: string, options: object) => {
      this.asked.push(`${method} ${path.slice(PODS.length)}`);
      if (this.isAway) return Promise.reject(new ApiRequestError(0, '', 'away'));
      const instead = this.answer(method, path);
      if (instead) return instead;
      return request.call(client, method, path, options);
    }) as typeof client.request;
    const now = () => performance.now() + this.aheadMs;
    this.writer = new PodStatusWriter({ client, told: () => this.told, running: () => this.running, now });
    t.teardown(() => {
      this.writer.stop();
      client.close();
    });
  }

  async make(name: string, nodeName = 'a'): Promise<Pod> {
    const spec = { nodeName, containers: [{ name: 'c', image: 'i' }] };
    await this.server.ask('POST', PODS, { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec });
    return this.hear(name);
  }

  /** As a watch would. */
  async hear(name: string): Promise<Pod> {
    const pod = (await this.server.get(`${PODS}/${name}`)).body as Pod;
    this.told.set(`default/${name}`, pod);
    return pod;
  }

  run(pod: Pod, status: PodStatus = RUNNING, hasEnded = false): void {
    this.running.set(`default/${pod.metadata.name}`, { uid: pod.metadata.uid ?? '', status, hasEnded });
  }

  async asksFor(count: number): Promise<void> {
    const deadline = Date.now() + 10_000;
    while (this.asked.length < count) {
      if (Date.now() > deadline) throw new Error(`only ${this.asked.join(', ')}`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    // What is asked too much comes now.
    await new Promise((resolve) => setTimeout(resolve, 30));
  }

  async statusOf(name: string): Promise<PodStatus> {
    return (await this.server.get(`${PODS}/${name}`)).body.status;
  }
}

t.test('a status is written once, and again when it changed', async (t) => {
  const bench = new Bench(t, await TestServer.start(t));
  const pod = await bench.make('web');
  const scheduled = { conditions: [{ type: 'PodScheduled', status: 'True' }], podIPs: [{ ip: '10.9.9.9' }] };
  const type = 'application/strategic-merge-patch+json';
  await bench.server.ask('PATCH', `${PODS}/web/status`, { status: scheduled }, { type });
  await bench.hear('web');
  bench.run(pod);
  for (let i = 0; i < 5; i++) bench.writer.look();
  await bench.asksFor(1);
  const written = await bench.statusOf('web');
  const { conditions = [], ...others } = RUNNING;
  t.match(written, others);
  t.match(
    written.conditions?.find(({ type }) => type === 'Ready'),
    conditions[0],
  );
  t.strictSame(written.podIPs, RUNNING.podIPs, 'addresses replace what stood there');
  t.ok(
    written.conditions?.some(({ type }) => type === 'PodScheduled'),
    'conditions of others stay',
  );
  bench.writer.look();
  await bench.asksFor(1);
  t.equal(bench.asked.length, 1, 'the watch is late: nothing is written again');
  await bench.hear('web');
  bench.writer.look();
  await bench.asksFor(1);
  t.equal(bench.asked.length, 1);
  bench.run(pod, { ...RUNNING, conditions: [{ type: 'Ready', status: 'False' }] });
  bench.writer.look();
  await bench.asksFor(2);
  t.match((await bench.statusOf('web')).conditions, [{}, {}] as never);
  t.equal((await bench.statusOf('web')).conditions?.find(({ type }) => type === 'Ready')?.status, 'False');
  t.strictSame(bench.asked, ['PATCH /web/status', 'PATCH /web/status']);
});

t.test('somebody else wrote something else: ours is written again', async (t) => {
  const bench = new Bench(t, await TestServer.start(t));
  const pod = await bench.make('web');
  bench.run(pod);
  bench.writer.look();
  await bench.asksFor(1);
  const unready = { status: { conditions: [{ type: 'Ready', status: 'False', reason: 'NodeStatusUnknown' }] } };
  const type = 'application/strategic-merge-patch+json';
  await bench.server.ask('PATCH', `${PODS}/web/status`, unready, { type });
  await bench.hear('web');
  bench.aheadMs = 6000;
  bench.writer.look();
  await bench.asksFor(2);
  t.equal((await bench.statusOf('web')).conditions?.find(({ type }) => type === 'Ready')?.status, 'True');
  await bench.server.ask('PATCH', `${PODS}/web/status`, unready, { type });
  await bench.hear('web');
  bench.writer.look();
  await bench.asksFor(2);
  t.equal(bench.asked.length, 2, 'not at once again: two that disagree do not fight');
});

t.test('of a condition that holds goes why it did not', async (t) => {
  const bench = new Bench(t, await TestServer.start(t));
  const pod = await bench.make('web');
  const why = { reason: 'ContainersNotReady', message: 'containers with unready status: [c]' };
  bench.run(pod, { ...RUNNING, conditions: [{ type: 'Ready', status: 'False', ...why }] });
  bench.writer.look();
  await bench.asksFor(1);
  t.match((await bench.statusOf('web')).conditions, [why] as never);
  await bench.hear('web');
  bench.run(pod);
  bench.writer.look();
  await bench.asksFor(2);
  t.strictSame((await bench.statusOf('web')).conditions, RUNNING.conditions);
  await bench.hear('web');
  bench.writer.look();
  await bench.asksFor(2);
  t.equal(bench.asked.length, 2);
});

t.test('while the server is away nothing piles up; then the last is written', async (t) => {
  const bench = new Bench(t, await TestServer.start(t));
  const pod = await bench.make('web');
  bench.isAway = true;
  for (let i = 0; i < 200; i++) {
    bench.run(pod, { ...RUNNING, message: `${i}` });
    bench.writer.look();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  t.ok(bench.asked.length <= 4, `${bench.asked.length} tries`);
  bench.isAway = false;
  bench.asked.length = 0;
  await bench.asksFor(1);
  t.equal((await bench.statusOf('web')).message, '199');
  t.equal(bench.asked.length, 1);
});

t.test('a deleted pod goes when its containers have ended, that very pod', async (t) => {
  const bench = new Bench(t, await TestServer.start(t));
  const pod = await bench.make('web');
  bench.run(pod);
  bench.writer.look();
  await bench.asksFor(1);
  await bench.server.ask('DELETE', `${PODS}/web`);
  await bench.hear('web');
  bench.writer.look();
  await bench.asksFor(1);
  t.strictSame(bench.asked, ['PATCH /web/status'], 'it ends still');
  bench.run(pod, { ...RUNNING, phase: 'Succeeded' }, true);
  bench.writer.look();
  await bench.asksFor(3);
  t.strictSame(bench.asked.slice(1), ['PATCH /web/status', 'DELETE /web'], 'its last status, then the end');
  t.equal((await bench.server.get(`${PODS}/web`)).code, 404);

  const second = await bench.make('web');
  bench.told.set('default/web', { ...pod, metadata: { ...pod.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } });
  bench.running.clear();
  bench.writer.look();
  await bench.asksFor(4);
  t.equal((await bench.server.get(`${PODS}/web`)).body.metadata.uid, second.metadata.uid, 'its successor stays');
});

t.test('one that never ran here goes at once, one of which nothing is known yet does not', async (t) => {
  const bench = new Bench(t, await TestServer.start(t));
  await bench.make('web');
  await bench.server.ask('DELETE', `${PODS}/web`);
  await bench.hear('web');
  const client = new ApiClient(apiAccess(bench.server.url, 'node-a'));
  const early = new PodStatusWriter({ client, told: () => bench.told, running: () => undefined });
  early.look();
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.equal((await bench.server.get(`${PODS}/web`)).code, 200);
  early.stop();
  client.close();
  bench.writer.look();
  await bench.asksFor(1);
  t.equal((await bench.server.get(`${PODS}/web`)).code, 404);
});

t.test('a pod that finalizers hold is deleted once', async (t) => {
  const bench = new Bench(t, await TestServer.start(t));
  await bench.make('web');
  const type = 'application/merge-patch+json';
  await bench.server.ask('PATCH', `${PODS}/web`, { metadata: { finalizers: ['example.com/held'] } }, { type });
  await bench.server.ask('DELETE', `${PODS}/web`);
  await bench.hear('web');
  bench.writer.look();
  await bench.asksFor(1);
  bench.writer.look();
  await bench.asksFor(1);
  t.strictSame(bench.asked, ['DELETE /web'], 'not again before the watch has told of it');
  await bench.hear('web');
  bench.writer.look();
  await bench.asksFor(1);
  t.strictSame(bench.asked, ['DELETE /web']);
  t.equal((await bench.server.get(`${PODS}/web`)).code, 200);
});

t.test('what the API will not have of one pod is said, and keeps no other waiting', async (t) => {
  const bench = new Bench(t, await TestServer.start(t));
  const held = await bench.make('held');
  bench.told.set('default/held', {
    ...held,
    metadata: { ...held.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' },
  });
  const refusal = new ApiRequestError(403, 'Forbidden', 'admission webhook "x" denied the request');
  bench.answer = (method) => (method === 'DELETE' ? Promise.reject(refusal) : undefined);
  bench.writer.look();
  await bench.asksFor(1);
  const pod = await bench.make('web');
  const began = performance.now();
  for (let i = 0; i < 20; i++) {
    bench.run(pod, { ...RUNNING, message: `${i}` });
    bench.writer.look();
    await bench.asksFor(2 + i);
  }
  t.ok(performance.now() - began < 2500, 'no pause between them');
  t.equal(bench.asked.filter((each) => each === 'DELETE /held').length, 1, 'it is not tried all the time');
  t.strictSame(bench.writer.problems(), [
    'Pod default/held: the API does not take what it is told: admission webhook "x" denied the request',
  ]);
});

t.test('a status that met another write is told again by itself', async (t) => {
  const bench = new Bench(t, await TestServer.start(t));
  bench.run(await bench.make('web'));
  const conflicts = [new ApiRequestError(409, 'Conflict', 'the object has been modified')];
  bench.answer = () => {
    const conflict = conflicts.pop();
    return conflict && Promise.reject(conflict);
  };
  bench.writer.look();
  await bench.asksFor(2);
  t.equal((await bench.statusOf('web')).phase, 'Running');
  t.strictSame(bench.writer.problems(), []);
});

t.test('what a server leaves out, since it does not know it, is not told again and again', async (t) => {
  const bench = new Bench(t, await TestServer.start(t));
  const pod = await bench.make('web');
  bench.run(pod, { ...RUNNING, message: 'unknown' });
  bench.answer = () => Promise.resolve({ ...pod, status: RUNNING });
  bench.writer.look();
  await bench.asksFor(1);
  const heard = { ...pod, metadata: { ...pod.metadata, resourceVersion: '999999' } };
  bench.told.set('default/web', { ...heard, status: { ...RUNNING, qosClass: 'BestEffort' } });
  bench.aheadMs = 60_000;
  bench.writer.look();
  await bench.asksFor(1);
  t.equal(bench.asked.length, 1);
  bench.told.set('default/web', { ...heard, status: { ...RUNNING, phase: 'Pending' } });
  bench.writer.look();
  await bench.asksFor(2);
});

t.test('a pod that is over for others is not called back', async (t) => {
  const bench = new Bench(t, await TestServer.start(t));
  const pod = await bench.make('web');
  bench.told.set('default/web', { ...pod, status: { phase: 'Failed', reason: 'Evicted' } });
  bench.run(pod);
  bench.writer.look();
  await bench.asksFor(0);
  t.strictSame(bench.asked, []);
  bench.run(pod, { ...RUNNING, phase: 'Succeeded' });
  bench.writer.look();
  await bench.asksFor(1);
});

t.test('answers that are no pods end nothing', async (t) => {
  const bench = new Bench(t, await TestServer.start(t));
  bench.run(await bench.make('web'));
  const nonsense: unknown[] = [null, {}, { metadata: {}, status: { conditions: null } }];
  bench.answer = () => (nonsense.length > 0 ? Promise.resolve(nonsense.shift()) : undefined);
  bench.writer.look();
  await bench.asksFor(3);
  bench.run(await bench.hear('web'), { ...RUNNING, message: 'later' });
  bench.writer.look();
  await bench.asksFor(4);
  t.equal((await bench.statusOf('web')).message, 'later');
});

t.test('many pods: a few requests at a time, all of them in the end', async (t) => {
  const bench = new Bench(t, await TestServer.start(t));
  const names = Array.from({ length: 40 }, (_, i) => `web-${i}`);
  for (const name of names) bench.run(await bench.make(name));
  bench.writer.look();
  await bench.asksFor(40);
  t.equal(bench.asked.length, 40);
  for (const name of names) t.equal((await bench.statusOf(name)).phase, 'Running');
});

t.test('what a server adds and how it writes times is no difference', async (t) => {
  t.ok(covers({ ...RUNNING, qosClass: 'BestEffort' }, RUNNING));
  t.ok(covers(RUNNING, { ...RUNNING, startTime: '2026-01-01T00:00:00.123Z', message: '' }));
  t.ok(covers({ phase: 'Running' }, { phase: 'Running', initContainerStatuses: [] }));
  t.notOk(covers(RUNNING, { ...RUNNING, startTime: '2026-01-01T00:00:01Z' }));
  t.notOk(covers(RUNNING, { ...RUNNING, reason: 'x' }));
  t.notOk(covers(RUNNING, { podIPs: [{ ip: '10.244.1.5' }] }));
  const ready = { type: 'Ready', status: 'True' };
  t.notOk(covers({ conditions: [{ ...ready, reason: 'ContainersNotReady' }] }, { conditions: [ready] }));
  t.notOk(covers({}, { conditions: [{ type: 'Ready', status: 'True' }] }));
});
