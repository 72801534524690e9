/** Many simulated nodes in one process, which the bench forks: it is told what to do, and tells what it saw. */
import type { Certified } from '../../src/apiserver/access/authority.ts';
import { COLLECTIONS, type Collection, machineMs, SimulatedNode } from './simulated-node.ts';

export interface NodesToRun {
  readonly port: number;
  /** PEM of the cluster's authority. */
  readonly authority: string;
  readonly nodes: readonly { name: string; identity: Certified }[];
}

export type Order =
  | { readonly order: 'join'; readonly run: NodesToRun }
  /** So many list at a time. */
  | { readonly order: 'follow'; readonly atOnce: number }
  | { readonly order: 'report' };

/** What happened since the last report. */
export interface NodesReport {
  readonly items: Readonly<Record<Collection, number>>;
  readonly listedBytes: number;
  /** What came over the wire for them. */
  readonly sentBytes: number;
  /** When each of the nodes followed everything, by the machine's clock. */
  readonly syncedAtMs: readonly number[];
  readonly events: number;
  readonly lastEventAtMs: number;
  /** When each change was seen, once a node. */
  readonly changes: readonly { readonly number: number; readonly atMs: readonly number[] }[];
  readonly renewMs: readonly number[];
  /** Between two renewals of one Lease. */
  readonly longestGapMs: number;
  readonly faults: readonly string[];
}

const MOST_FAULTS = 20;
const nodes: SimulatedNode[] = [];
let report = emptyReport();

function emptyReport() {
  return {
    items: Object.fromEntries(COLLECTIONS.map((c) => [c, 0])) as Record<Collection, number>,
    listedBytes: 0,
    sentBytes: 0,
    syncedAtMs: [] as number[],
    events: 0,
    lastEventAtMs: 0,
    changes: new Map<number, number[]>(),
    renewMs: [] as number[],
    longestGapMs: 0,
    faults: [] as string[],
  };
}

process.on('message', (order: Order) => {
  void obey(order);
});
process.on('disconnect', () => process.exit());

async function obey(order: Order): Promise<void> {
  if (order.order === 'join') {
    const { port, authority, nodes: wanted } = order.run;
    for (const { name, identity } of wanted) {
      nodes.push(new SimulatedNode(name, port, { ...identity, authority }, hears()));
    }
    await Promise.all(nodes.map((node) => node.join()));
  } else if (order.order === 'follow') {
    const rest = [...nodes];
    const lane = async () => {
      for (let node = rest.shift(); node; node = rest.shift()) {
        await node.follow();
        report.syncedAtMs.push(machineMs());
      }
    };
    await Promise.all(Array.from({ length: order.atOnce }, lane));
  }
  const { changes, ...rest } = report;
  const said: NodesReport = { ...rest, changes: [...changes].map(([number, atMs]) => ({ number, atMs })) };
  report = emptyReport();
  process.send?.(said);
}

function hears() {
  return {
    change: (number: number, atMs: number) => {
      const times = report.changes.get(number) ?? [];
      times.push(atMs);
      report.changes.set(number, times);
    },
    event: () => {
      report.events++;
      report.lastEventAtMs = machineMs();
    },
    listed: (collection: Collection, items: number, bytes: number, sent: number) => {
      report.items[collection] += items;
      report.listedBytes += bytes;
      report.sentBytes += sent;
    },
    renewed: (tookMs: number, sinceMs: number) => {
      report.renewMs.push(tookMs);
      report.longestGapMs = Math.max(report.longestGapMs, sinceMs);
    },
    fault: (message: string) => {
      if (report.faults.length < MOST_FAULTS) report.faults.push(message);
    },
  };
}
