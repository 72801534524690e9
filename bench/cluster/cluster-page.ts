/** The report of the cluster bench: docs/benchmarks/cluster.md. */
import { loadavg } from 'node:os';
import type { Machine } from '../machine.ts';
import { count, figure, table } from '../micro/markdown.ts';
import { LISTING, type Phase, type RunFigures } from './api-run.ts';
import type { CompileTimes } from './compile-time.ts';
import type { Size } from './population.ts';
import type { Quantiles } from './quantiles.ts';

export interface ClusterFigures {
  readonly machine: Machine;
  readonly size: Size;
  readonly runs: Readonly<Partial<Record<'lmdb' | 'etcd', RunFigures>>>;
  readonly compiled: readonly CompileTimes[];
}

const TITLES = { lmdb: 'LMDB', etcd: 'three etcd members' } as const;

export function clusterPage({ machine, size, runs, compiled }: ClusterFigures): string {
  const stores = (['lmdb', 'etcd'] as const).filter((store) => runs[store]);
  const row = (title: string, cell: (run: RunFigures) => string) => [
    title,
    ...stores.map((store) => cell(runs[store] as RunFigures)),
  ];
  const [load = 0] = loadavg();
  return `# A cluster on one API server

Written by \`make bench-cluster\`; every figure comes from a run, none is typed by hand. One API server process with its
controllers, ${count(size.nodes)} simulated nodes, ${count(size.pods)} pods, ${count(size.services)} services with a slice of five endpoints each. A simulated
node has a certificate of its own, lists nodes, pods, services and slices in pages, watches each on a TLS connection,
and renews its Lease every second; it runs no pods. Server, nodes and etcd share the processors of one machine, so
${LISTING} nodes list at a time. The server has its usual settings.

${machine.processors}, ${machine.memory}, ${machine.kernel}, Node ${machine.node}, commit ${machine.commit}; load of the machine: ${load.toFixed(1)}.

${table(
  ['', ...stores.map((store) => TITLES[store])],
  [
    row('objects in the store', (r) => megabytes(r.storedBytes)),
    row('start of the server again until it serves', (r) => seconds(r.startSeconds)),
    row(
      'all nodes list and watch everything, cold: the first half / the last',
      (r) => `${seconds(r.cold.synced.p50 / 1000)} / ${seconds(r.cold.synced.most / 1000)}`,
    ),
    row('JSON listed; sent, compressed', (r) => `${megabytes(r.cold.listedBytes)}; ${megabytes(r.cold.sentBytes)}`),
    row('**one endpoint changes: a node has it, p50 / p99**', (r) => times(r.changed.seen)),
    row('**all nodes have it, p50 / p99**', (r) => times(r.changed.seenByAll)),
    row('changes measured', (r) => count(r.changed.changes)),
    row('pods changed at once: writes/s', (r) => figure(r.churn.writesPerSecond)),
    row('events to nodes/s meanwhile', (r) => count(Math.round(r.churn.eventsPerSecond))),
    row(
      'memory of the server (resident; heap), nodes following',
      (r) => `${megabytes(r.steady.rssBytes)}; ${megabytes(r.steady.heapBytes)}`,
    ),
    row('nodes taken for dead meanwhile, and back', (r) => count(r.takenForDead)),
    row('most resident memory seen', (r) => megabytes(Math.max(...phasesOf(r).map(([, p]) => p.rssBytes)))),
  ],
)}

Goal: a change of one endpoint is seen by all nodes with a p99 under 2 s.

${stores.map((store) => `## ${TITLES[store]}, part by part\n\n${phaseTable(runs[store] as RunFigures)}`).join('\n\n')}

Event loop: how late the server's main thread came, in milliseconds. The longest gap is the longest time between two
renewals of any node's Lease: one that comes later than after 4 s makes its node Unknown, ten nodes at once and one more in 10 s.

## What a change costs a node

The model of all objects and its forwarding tables, made in memory, in milliseconds of the processor: once with
everything new, then for a change of one endpoint, with what the last model and the last tables know.

${table(
  ['services', 'first: model + tables', 'one change: model p50', 'tables p50', 'together, p99'],
  compiled.map(({ size: { services }, first, change }) => [
    count(services),
    `${figure(first.model)} + ${figure(first.tables)} ms`,
    `${figure(change.model.p50)} ms`,
    `${figure(change.tables.p50)} ms`,
    `${figure(change.model.p99 + change.tables.p99)} ms`,
  ]),
)}

${stores.flatMap((store) => (runs[store] as RunFigures).faults.map((fault) => `\n- ${TITLES[store]}: ${fault}`)).join('')}`;
}

function phasesOf(run: RunFigures): [string, Phase][] {
  return [
    ['all nodes list', run.cold],
    ['Leases alone', run.steady],
    ['endpoints change', run.changed],
    ['pods change at once', run.churn],
  ];
}

function phaseTable(run: RunFigures): string {
  return table(
    ['', 'seconds', 'processors', 'event loop p50 / p99 / most', 'Leases/s', 'renewal p50 / p99', 'longest gap'],
    phasesOf(run).map(([title, p]) => [
      title,
      figure(p.seconds),
      figure(p.cpu),
      [p.delay.delayP50, p.delay.delayP99, p.delay.delayMost].map(figure).join(' / '),
      figure(p.renewalsPerSecond),
      times(p.renewals),
      seconds(p.longestGapMs / 1000),
    ]),
  );
}

function times({ p50, p99 }: Quantiles): string {
  return `${figure(p50)} / ${figure(p99)} ms`;
}

function seconds(value: number): string {
  return `${figure(value)} s`;
}

function megabytes(bytes: number): string {
  return `${figure(bytes / 2 ** 20)} MiB`;
}
