/** Nodes that fall silent: Unknown, tainted, their pods out of the endpoints; back; and the pods of those that stay away. */
import t, { type Test } from 'tap';
import type { ApiObject } from '../../../src/apiserver/api-object.ts';
import { EndpointSlices } from '../../../src/apiserver/controllers/endpoint-slices.ts';
import { Heartbeats } from '../../../src/apiserver/controllers/heartbeats.ts';
import { NodeLifecycle } from '../../../src/apiserver/controllers/node-lifecycle.ts';
import { PodEviction } from '../../../src/apiserver/controllers/pod-eviction.ts';
import { ClusterStore } from './cluster-store.ts';
import { FakeClock } from './fake-clock.ts';

const GRACE_MS = 4000;

class Nodes {
  readonly cluster: ClusterStore;
  readonly clock: FakeClock;
  readonly #silent = new Set<string>();
  readonly #names: string[] = [];
  #beat = 0;

  private constructor(cluster: ClusterStore, clock: FakeClock) {
    this.cluster = cluster;
    this.clock = clock;
  }

  static async open(t: Test, names: string[]): Promise<Nodes> {
    const cluster = await ClusterStore.open(t);
    const clock = new FakeClock();
    const nodes = new Nodes(cluster, clock);
    for (const name of names) await nodes.add(name);
    await cluster.run(
      [
        (parts) => new NodeLifecycle(parts, { graceMs: GRACE_MS }),
        (parts) => new PodEviction(parts),
        (parts) => new EndpointSlices(parts),
      ],
      { clock },
    );
    return nodes;
  }

  async add(name: string): Promise<void> {
    this.#names.push(name);
    await this.cluster.create({ apiVersion: 'v1', kind: 'Node', metadata: { name } });
    await this.ready(name);
    const metadata = { name, namespace: 'kube-node-lease' };
    await this.cluster.create({ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec: {} });
  }

  /** What the agent says of its node, and of the pods on it. */
  async ready(name: string): Promise<void> {
    const conditions = [{ type: 'Ready', status: 'True' }];
    await this.cluster.update('Node', name, (o) => (o.status = { ...o.status, conditions }), true);
    for (const pod of await this.cluster.list('Pod')) {
      if (pod.spec?.nodeName !== name) continue;
      await this.cluster.update('Pod', pod.metadata.name, (o) => (o.status = { ...o.status, conditions }), true);
    }
  }

  silence(name: string, silent = true): void {
    if (silent) this.#silent.add(name);
    else this.#silent.delete(name);
  }

  /** Time goes by; whoever is not silent renews its Lease each second. */
  async pass(seconds: number): Promise<void> {
    for (let i = 0; i < seconds; i++) {
      this.#beat++;
      for (const name of this.#names.filter((one) => !this.#silent.has(one))) await this.#renew(name);
      await this.clock.run(1000, 250);
    }
  }

  async #renew(name: string): Promise<void> {
    const place = { resource: this.cluster.kind('Lease'), namespace: 'kube-node-lease', name };
    const renewTime = `beat ${this.#beat}`;
    await this.cluster.objects.update(place, (o) => ({ ...o, spec: { ...o.spec, renewTime } }));
  }

  /** `Ready=Unknown unreachable:NoExecute`. */
  async shown(name: string): Promise<string> {
    const { spec, status } = await this.cluster.get('Node', name);
    const conditions = (status?.conditions ?? []) as { type: string; status: string; reason?: string }[];
    const taints = (spec?.taints ?? []) as { key: string; effect: string }[];
    return [
      ...conditions.map(({ type, status, reason }) => `${type}=${status}${reason ? `/${reason}` : ''}`),
      ...taints.map(({ key, effect }) => `${key.replace('node.kubernetes.io/', '')}:${effect}`),
    ].join(' ');
  }

  becomes(name: string, wanted: string): Promise<string> {
    return this.cluster.until(
      `${name} is ${wanted}`,
      () => this.shown(name),
      (now) => now === wanted,
    );
  }

  async addPod(name: string, node: string, ip: string, spec: object = {}): Promise<void> {
    const { cluster } = this;
    const containers = [{ name: 'c', image: 'nginx' }];
    const metadata = { name, labels: { app: 'web' } };
    await cluster.create({ apiVersion: 'v1', kind: 'Pod', metadata, spec: { nodeName: node, containers, ...spec } });
    const conditions = [{ type: 'Ready', status: 'True' }];
    await cluster.update('Pod', name, (o) => (o.status = { phase: 'Running', podIP: ip, conditions }), true);
  }

  async endpoints(): Promise<string[]> {
    const all = (await this.cluster.list('EndpointSlice')) as unknown as {
      endpoints?: { addresses: string[]; conditions: { ready: boolean } }[];
    }[];
    return all
      .flatMap(({ endpoints = [] }) => endpoints)
      .filter(({ conditions }) => conditions.ready)
      .flatMap(({ addresses }) => addresses)
      .sort();
  }
}

const UNKNOWN = 'Ready=Unknown/NodeStatusUnknown unreachable:NoSchedule unreachable:NoExecute';

const web = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web' },
  spec: { selector: { app: 'web' }, ports: [{ port: 80 }] },
};

t.test('a silent node is Unknown, its pods leave the endpoints; its next status brings all back', async (t) => {
  const nodes = await Nodes.open(t, ['a', 'b']);
  const { cluster } = nodes;
  await cluster.create(web);
  await nodes.addPod('one', 'a', '10.244.1.1');
  await nodes.addPod('two', 'b', '10.244.2.1');
  const wait = (wanted: string[]) =>
    cluster.until(
      `endpoints ${wanted}`,
      () => nodes.endpoints(),
      (now) => now.join() === wanted.join(),
    );
  await nodes.pass(1);
  await wait(['10.244.1.1', '10.244.2.1']);
  nodes.silence('a');
  await nodes.pass(3);
  t.equal(await nodes.shown('a'), 'Ready=True', 'not yet');
  await nodes.pass(2);
  await nodes.becomes('a', UNKNOWN);
  await wait(['10.244.2.1']);
  t.match((await cluster.get('Pod', 'one')).status, {
    conditions: [{ type: 'Ready', status: 'False', reason: 'NodeNotReady' }],
  });
  t.equal(await nodes.shown('b'), 'Ready=True');
  const reasons = (await cluster.list('Event')).map(({ reason, involvedObject }) => [
    reason,
    (involvedObject as ApiObject['metadata']).name,
  ]);
  t.same(reasons, [['NodeNotReady', 'a']]);
  nodes.silence('a', false);
  await nodes.pass(1);
  await nodes.ready('a');
  await nodes.becomes('a', 'Ready=True');
  await wait(['10.244.1.1', '10.244.2.1']);
});

t.test('of many that fall silent at once, some are given up soon, all as late as Kubernetes does', async (t) => {
  const names = Array.from({ length: 26 }, (_, i) => `n${i}`);
  const nodes = await Nodes.open(t, names);
  const unknown = async () => {
    const all = await Promise.all(names.map((name) => nodes.shown(name)));
    return all.filter((shown) => shown === UNKNOWN).length;
  };
  const become = (count: number) => nodes.cluster.until(`${count} are Unknown`, unknown, (now) => now === count);
  await nodes.pass(1);
  for (const name of names.slice(1)) nodes.silence(name);
  await nodes.pass(6);
  await become(10);
  await nodes.pass(20);
  await become(12);
  // Those that are heard of again were only late.
  for (const name of names.slice(20)) nodes.silence(name, false);
  await nodes.pass(18);
  await become(19);
  t.equal(await nodes.shown('n25'), 'Ready=True');
});

t.test('who never had a Lease is left alone', async (t) => {
  const nodes = await Nodes.open(t, []);
  await nodes.cluster.create({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'byhand' } });
  const conditions = [{ type: 'Ready', status: 'False' }];
  await nodes.cluster.update('Node', 'byhand', (o) => (o.status = { conditions }), true);
  await nodes.pass(20);
  t.equal(await nodes.shown('byhand'), 'Ready=False');
});

t.test('a pause of ours, or a new leader, is nobody else silence', async (t) => {
  const nodes = await Nodes.open(t, ['a', 'b']);
  await nodes.pass(2);
  // Nothing was done for a minute: neither timers nor renewals.
  nodes.clock.pause(60_000);
  await nodes.clock.run(500, 250);
  await nodes.pass(6);
  t.equal(await nodes.shown('a'), 'Ready=True');
  t.equal(await nodes.shown('b'), 'Ready=True');
  nodes.silence('a');
  await nodes.pass(5);
  await nodes.becomes('a', UNKNOWN);
});

t.test('the count of silence', async (t) => {
  const clock = new FakeClock();
  const beats = new Heartbeats(clock, 500);
  beats.heard('a', '1');
  const wait = (ms: number) => {
    for (let gone = 0; gone < ms; gone += 500) {
      clock.advance(500);
      beats.silent(GRACE_MS);
    }
    return [...beats.silent(GRACE_MS).keys()];
  };
  t.same(wait(4000), []);
  t.same(wait(500), ['a']);
  beats.heard('a', '1');
  t.same(wait(500), ['a'], 'the same Lease again is no sign of life');
  beats.heard('a', '2');
  t.same(wait(2000), []);
  clock.advance(10_000);
  t.same([...beats.silent(GRACE_MS).keys()], [], 'we were away');
  t.same(wait(1500), []);
  t.same(wait(1500), ['a'], 'but what had gone before counts');
  t.ok(beats.isSilent('a', GRACE_MS));
  beats.heard('a', '3');
  t.notOk(beats.isSilent('a', GRACE_MS));
  clock.setBy(3_600_000);
  t.same(wait(500), [], 'a clock on the wall was set');
  t.same(wait(4000), ['a']);
  beats.forget('a');
  t.same(wait(500), []);
});

t.test('pods leave a node that stays away, and one that is no more', async (t) => {
  const nodes = await Nodes.open(t, ['a', 'b']);
  const { cluster } = nodes;
  const forever = { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute' };
  await nodes.addPod('usual', 'a', '10.244.1.1');
  await nodes.addPod('soon', 'a', '10.244.1.2', { tolerations: [{ ...forever, tolerationSeconds: 10 }] });
  await nodes.addPod('stays', 'a', '10.244.1.3', { tolerations: [forever] });
  await nodes.addPod('other', 'b', '10.244.2.1');
  const leaving = async () =>
    (await cluster.list('Pod')).filter((pod) => pod.metadata.deletionTimestamp).map(({ metadata }) => metadata.name);
  nodes.silence('a');
  await nodes.pass(6);
  await nodes.becomes('a', UNKNOWN);
  t.same(await leaving(), []);
  await nodes.pass(10);
  t.same(await leaving(), ['soon']);
  nodes.clock.pause(270_000);
  await nodes.pass(2);
  t.same(await leaving(), ['soon']);
  await nodes.pass(22);
  t.same((await leaving()).sort(), ['soon', 'usual']);
  await cluster.delete('Node', 'a');
  await nodes.pass(35);
  t.equal((await cluster.names('Pod')).length, 4);
  await nodes.pass(6);
  t.same(await cluster.names('Pod'), ['other']);
});

t.test('nobody is sent away while no node is ready', async (t) => {
  const nodes = await Nodes.open(t, ['a', 'b']);
  const tolerations = [{ operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 5 }];
  await nodes.addPod('one', 'a', '10.244.1.1', { tolerations });
  nodes.silence('a');
  nodes.silence('b');
  await nodes.pass(6);
  await nodes.becomes('a', UNKNOWN);
  await nodes.becomes('b', UNKNOWN);
  await nodes.pass(20);
  t.notOk((await nodes.cluster.get('Pod', 'one')).metadata.deletionTimestamp);
  nodes.silence('b', false);
  await nodes.pass(1);
  await nodes.ready('b');
  await nodes.pass(12);
  t.ok((await nodes.cluster.get('Pod', 'one')).metadata.deletionTimestamp);
});
