/**
 * One API server with a cluster's objects in its store, and all of the cluster's nodes as its clients: what it takes
 * until they follow it, until they all have seen a change, and what it costs.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Authority, type Certified } from '../../src/apiserver/access/authority.ts';
import { EtcdStore } from '../../src/apiserver/store/etcd-store.ts';
import { LmdbStore } from '../../src/apiserver/store/lmdb-store.ts';
import type { Store } from '../../src/apiserver/store/store.ts';
import { ApiClient } from '../../src/kube/api-client.ts';
import { readKubeconfig } from '../../src/kube/kubeconfig.ts';
import { EtcdCluster } from '../../test/apiserver/store/etcd-cluster.ts';
import { ApiProcess } from './api-process.ts';
import { NodeProcesses } from './node-processes.ts';
import { endpointsOf, fill, nodeName, podName, population, type Size, sliceName } from './population.ts';
import { type Quantiles, quantiles } from './quantiles.ts';
import type { ServerFigures } from './server-probe.ts';
import { COLLECTIONS, machineMs } from './simulated-node.ts';

export interface RunOptions {
  readonly size: Size;
  readonly store: 'lmdb' | 'etcd';
  /** Changes of one endpoint each. */
  readonly changes: number;
  say(line: string): void;
}

/** What the server did in a part of the run. */
export interface Phase {
  readonly seconds: number;
  /** Of one processor. */
  readonly cpu: number;
  readonly delay: Pick<ServerFigures, 'delayP50' | 'delayP99' | 'delayMost'>;
  readonly rssBytes: number;
  readonly heapBytes: number;
  /** Renewals of a Lease, and the longest time between two of one. */
  readonly renewals: Quantiles;
  readonly renewalsPerSecond: number;
  readonly longestGapMs: number;
}

export interface RunFigures {
  readonly storedBytes: number;
  readonly startSeconds: number;
  /** From the first request to the last node that follows everything. */
  readonly cold: Phase & { readonly synced: Quantiles; readonly listedBytes: number; readonly sentBytes: number };
  readonly steady: Phase;
  /** Of one endpoint: until a node has it, and until all have it. */
  readonly changed: Phase & { readonly seen: Quantiles; readonly seenByAll: Quantiles; readonly changes: number };
  /** Changes of pods as fast as they are taken. */
  readonly churn: Phase & { readonly writesPerSecond: number; readonly eventsPerSecond: number };
  /** How often the server took one for dead that was not. */
  readonly takenForDead: number;
  readonly faults: readonly string[];
}

const PROCESSES = 2;
/**
 * Nodes that list at a time. Each unpacks all of it, on a processor that in a cluster would be its own: all at once, they
 * come to nothing else for a minute, their Leases neither.
 */
export const LISTING = 50;
const STEADY_MS = 5000;
const CHANGE_EVERY_MS = 200;
const PATIENCE_MS = 20_000;
const WRITERS = 32;
const CHURN = 500;
const MEMBERS = 3;
const SETTLE_MS = 3000;

export async function runApi(options: RunOptions): Promise<RunFigures> {
  const folder = mkdtempSync(join(tmpdir(), 'weft-bench-cluster-'));
  const endings: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })];
  try {
    // Interrupted, it still ends what it started.
    return await Promise.race([measure(options, folder, (end) => void endings.unshift(end)), interruption()]);
  } finally {
    for (const end of endings) await end();
  }
}

function interruption(): Promise<never> {
  return new Promise((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => reject(new Error(signal)));
  });
}

async function measure(options: RunOptions, folder: string, atEnd: (end: () => unknown) => void): Promise<RunFigures> {
  const { size, say } = options;
  const members = options.store === 'etcd' ? await startEtcd(folder, atEnd) : [];
  say(`writing ${size.nodes} nodes, ${size.pods} pods, ${size.services} services into the store`);
  const store = openStore(folder, members);
  const storedBytes = await fill(store, population(size)).finally(() => store.close());
  // The first start notes what the services and nodes hold already, as no later one has to.
  await (await ApiProcess.start(folder, members)).stop();
  const began = machineMs();
  const server = await ApiProcess.start(folder, members);
  atEnd(() => server.stop());
  const startSeconds = (machineMs() - began) / 1000;
  const nodes = new NodeProcesses(PROCESSES);
  atEnd(() => nodes.stop());
  await nodes.join({ port: server.port, ...(await identitiesOf(folder, size.nodes)) });
  // What the controllers make of nodes that are new to them is done then.
  await sleep(SETTLE_MS);
  await nodes.report();

  const phase = phases(server);
  await phase();
  say('every node lists and watches');
  const coldAt = machineMs();
  const cold = await nodes.follow(LISTING);
  const coldPhase = await phase(cold.renewMs, cold.longestGapMs);
  for (const collection of COLLECTIONS) {
    const wanted = { ...size, slices: size.services }[collection] * size.nodes;
    if (cold.items[collection] < wanted)
      throw new Error(`nodes were told of ${cold.items[collection]} ${collection}, not ${wanted}`);
  }

  say('Leases alone');
  await sleep(STEADY_MS);
  const steady = await nodes.report();
  const steadyPhase = await phase(steady.renewMs, steady.longestGapMs);

  const client = new ApiClient(readKubeconfig(join(folder, 'admin.kubeconfig')));
  atEnd(() => client.close());
  say(`${options.changes} changes of one endpoint each`);
  const sent = await changeEndpoints(client, options);
  const seen = await waitFor(nodes, (r) => r.changes.filter((c) => c.atMs.length >= size.nodes).length >= sent.length);
  const changedPhase = await phase(seen.renewMs, seen.longestGapMs);
  const delays = seen.changes.map(({ number, atMs }) => atMs.map((at) => at - (sent[number] ?? Number.NaN)));

  say(`${CHURN} changes of pods at once`);
  const churnAt = machineMs();
  await churn(client, size);
  const churnedAt = machineMs();
  const events = await waitFor(nodes, (r) => r.events >= CHURN * size.nodes);
  const churnPhase = await phase(events.renewMs, events.longestGapMs);

  return {
    storedBytes,
    startSeconds,
    cold: {
      ...coldPhase,
      synced: quantiles(cold.syncedAtMs.map((at) => at - coldAt)),
      listedBytes: cold.listedBytes,
      sentBytes: cold.sentBytes,
    },
    steady: steadyPhase,
    changed: {
      ...changedPhase,
      seen: quantiles(delays.flat()),
      seenByAll: quantiles(delays.map((each) => Math.max(...each))),
      changes: sent.length,
    },
    churn: {
      ...churnPhase,
      writesPerSecond: (CHURN * 1000) / (churnedAt - churnAt),
      eventsPerSecond: (events.events * 1000) / (events.lastEventAtMs - churnAt),
    },
    takenForDead: await takenForDead(client),
    faults: [cold, steady, seen, events].flatMap(({ faults }) => faults),
  };
}

/** Returns when each was sent, by its number. */
async function changeEndpoints(client: ApiClient, { size, changes }: RunOptions): Promise<number[]> {
  const sent: number[] = [];
  for (let number = 0; number < changes; number++) {
    const service = (number * 37) % size.services;
    const path = `/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/${sliceName(service)}`;
    const annotations = { 'bench.weft.dev/change': `${number}` };
    sent.push(machineMs());
    await client.patch(path, 'merge', { metadata: { annotations }, endpoints: endpointsOf(service, size, number % 5) });
    await sleep(CHANGE_EVERY_MS);
  }
  return sent;
}

async function churn(client: ApiClient, size: Size): Promise<void> {
  let next = 0;
  const writer = async () => {
    for (let i = next++; i < CHURN; i = next++) {
      const path = `/api/v1/namespaces/default/pods/${podName(i % size.pods)}`;
      await client.patch(path, 'merge', { metadata: { labels: { round: `${i}` } } });
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, writer));
}

/** Throws where one of them still is. */
async function takenForDead(client: ApiClient): Promise<number> {
  const events = await client.get<{ items: { reason: string; count: number }[] }>('/api/v1/namespaces/default/events');
  const nodes = await client.get<{ items: { status: { conditions: { type: string; status: string }[] } }[] }>(
    '/api/v1/nodes',
  );
  const isReady = ({ type, status }: { type: string; status: string }) => type === 'Ready' && status === 'True';
  const dead = nodes.items.filter(({ status }) => !status.conditions.some(isReady)).length;
  if (dead > 0) throw new Error(`${dead} nodes are not Ready, though all renew their Leases`);
  return events.items.reduce((sum, { reason, count }) => sum + (reason === 'NodeNotReady' ? count : 0), 0);
}

type Report = Awaited<ReturnType<NodeProcesses['report']>>;

/** All that the nodes saw until it is enough, or does not come to be. */
async function waitFor(nodes: NodeProcesses, isEnough: (report: Report) => boolean): Promise<Report> {
  const until = machineMs() + PATIENCE_MS;
  let all = await nodes.report();
  while (!isEnough(all) && machineMs() < until) {
    await sleep(100);
    all = joined(all, await nodes.report());
  }
  if (!isEnough(all))
    throw new Error(`not every node has seen every change within ${PATIENCE_MS / 1000} s: ${all.faults}`);
  return all;
}

function joined(a: Report, b: Report): Report {
  const changes = new Map(a.changes.map(({ number, atMs }) => [number, atMs]));
  for (const { number, atMs } of b.changes) changes.set(number, [...(changes.get(number) ?? []), ...atMs]);
  return {
    ...a,
    events: a.events + b.events,
    lastEventAtMs: Math.max(a.lastEventAtMs, b.lastEventAtMs),
    changes: [...changes].map(([number, atMs]) => ({ number, atMs })),
    renewMs: [...a.renewMs, ...b.renewMs],
    longestGapMs: Math.max(a.longestGapMs, b.longestGapMs),
    faults: [...a.faults, ...b.faults],
  };
}

/** Each call ends a phase, which began with the call before it. */
function phases(server: ApiProcess): (renewMs?: readonly number[], longestGapMs?: number) => Promise<Phase> {
  let before: ServerFigures | undefined;
  return async (renewMs = [], longestGapMs = 0) => {
    const now = await server.figures();
    const seconds = (now.atMs - (before?.atMs ?? 0)) / 1000;
    const cpu = (now.cpuSeconds - (before?.cpuSeconds ?? 0)) / seconds;
    before = now;
    const { rssBytes, heapBytes, delayP50, delayP99, delayMost } = now;
    return {
      seconds,
      cpu,
      delay: { delayP50, delayP99, delayMost },
      rssBytes,
      heapBytes,
      renewals: quantiles(renewMs),
      renewalsPerSecond: renewMs.length / seconds,
      longestGapMs,
    };
  };
}

async function identitiesOf(folder: string, count: number) {
  const authority = await Authority.open(join(folder, 'pki'));
  const nodes: { name: string; identity: Certified }[] = [];
  for (let i = 0; i < count; i++) nodes.push({ name: nodeName(i), identity: await authority.node(nodeName(i)) });
  return { authority: authority.certificate, nodes };
}

function openStore(folder: string, members: readonly string[]): Store {
  return members.length > 0 ? new EtcdStore({ endpoints: members }) : LmdbStore.open({ path: join(folder, 'store') });
}

async function startEtcd(folder: string, atEnd: (end: () => unknown) => void): Promise<readonly string[]> {
  const place = { testdir: () => folder, teardown: (end: () => unknown) => atEnd(end) };
  return (await EtcdCluster.start(place, MEMBERS)).endpoints;
}
