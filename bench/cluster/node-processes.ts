/** All simulated nodes, spread over a few processes. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { NodesReport, NodesToRun, Order } from './node-process.ts';

const SCRIPT = fileURLToPath(new URL('./node-process.js', import.meta.url));

export class NodeProcesses {
  readonly #children: readonly ChildProcess[];

  constructor(count: number) {
    this.#children = Array.from({ length: count }, () =>
      fork(SCRIPT, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }),
    );
  }

  /** Their Leases stand, and are renewed from now on. */
  async join({ nodes, ...run }: NodesToRun): Promise<void> {
    const own = (i: number) => nodes.filter((_, n) => n % this.#children.length === i);
    await Promise.all(this.#children.map((child, i) => tell(child, { order: 'join', run: { ...run, nodes: own(i) } })));
  }

  /** They have listed everything, and watch; so many listed at a time. */
  async follow(listing: number): Promise<NodesReport> {
    const atOnce = Math.ceil(listing / this.#children.length);
    return merged(await Promise.all(this.#children.map((child) => tell(child, { order: 'follow', atOnce }))));
  }

  /** What they saw since the last report. */
  async report(): Promise<NodesReport> {
    return merged(await Promise.all(this.#children.map((child) => tell(child, { order: 'report' }))));
  }

  stop(): void {
    for (const child of this.#children) child.kill('SIGKILL');
  }
}

function tell(child: ChildProcess, order: Order): Promise<NodesReport> {
  return new Promise((resolve, reject) => {
    const gone = () => reject(new Error('a process of simulated nodes ended'));
    child.once('exit', gone);
    child.once('message', (report) => {
      child.off('exit', gone);
      resolve(report as NodesReport);
    });
    child.send(order);
  });
}

function merged(reports: readonly NodesReport[]): NodesReport {
  const changes = new Map<number, number[]>();
  for (const { number, atMs } of reports.flatMap((report) => report.changes)) {
    changes.set(number, [...(changes.get(number) ?? []), ...atMs]);
  }
  const sum = (of: (report: NodesReport) => number) => reports.reduce((all, report) => all + of(report), 0);
  return {
    items: {
      nodes: sum(({ items }) => items.nodes),
      pods: sum(({ items }) => items.pods),
      services: sum(({ items }) => items.services),
      slices: sum(({ items }) => items.slices),
    },
    listedBytes: sum(({ listedBytes }) => listedBytes),
    sentBytes: sum(({ sentBytes }) => sentBytes),
    syncedAtMs: reports.flatMap(({ syncedAtMs }) => syncedAtMs),
    events: sum(({ events }) => events),
    lastEventAtMs: Math.max(...reports.map(({ lastEventAtMs }) => lastEventAtMs)),
    changes: [...changes].map(([number, atMs]) => ({ number, atMs })),
    renewMs: reports.flatMap(({ renewMs }) => renewMs),
    longestGapMs: Math.max(...reports.map(({ longestGapMs }) => longestGapMs)),
    faults: reports.flatMap(({ faults }) => faults),
  };
}
