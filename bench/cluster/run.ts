#!/usr/bin/env node
/**
 * `make bench-cluster` and `weft bench --cluster`: how one API server carries a cluster of many nodes, on LMDB and on
 * three members of etcd. Everything is on loopback of this machine, clients too: they share its processors.
 *
 *   node dist/bench/cluster/run.js [--quick] [--nodes N] [--pods N] [--services N] [--changes N] [--stores lmdb,etcd]
 *                                  [-o table|json] [--out FOLDER]
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { isInstalled } from '../command.ts';
import { machineOf } from '../machine.ts';
import { type RunFigures, runApi } from './api-run.ts';
import { clusterPage } from './cluster-page.ts';
import { compileTimes } from './compile-time.ts';
import type { Size } from './population.ts';

const FULL = { nodes: 500, pods: 10_000, services: 2000, changes: 60 };
const QUICK = { nodes: 50, pods: 1000, services: 200, changes: 50 };

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    nodes: { type: 'string' },
    pods: { type: 'string' },
    services: { type: 'string' },
    changes: { type: 'string' },
    stores: { type: 'string', default: 'lmdb,etcd' },
    output: { type: 'string', short: 'o', default: 'table' },
    out: { type: 'string' },
  },
});

try {
  await main();
} catch (error) {
  console.error(`weft: ${error instanceof Error ? error.message : String(error)}`);
  // What was under way when it was interrupted goes no further.
  process.exit(1);
}

async function main(): Promise<void> {
  const usual = values.quick ? QUICK : FULL;
  const size: Size = {
    nodes: amount('nodes', usual.nodes),
    pods: amount('pods', usual.pods),
    services: amount('services', usual.services),
  };
  const changes = amount('changes', usual.changes);
  const runs: Partial<Record<'lmdb' | 'etcd', RunFigures>> = {};
  for (const store of values.stores.split(',')) {
    if (store !== 'lmdb' && store !== 'etcd') throw new Error(`--stores ${store}: there are lmdb and etcd`);
    if (store === 'etcd' && !(await isInstalled('etcd'))) {
      console.error('etcd is not installed (apt-get install etcd-server): left out');
      continue;
    }
    runs[store] = await runApi({ size, store, changes, say: (line) => console.error(`${store}: ${line}`) });
  }
  console.error('compiling tables');
  const compiled = [size, { ...size, services: size.services * 5 }].map(compileTimes);
  const figures = { machine: machineOf(), size, runs, compiled };
  const page = clusterPage(figures);
  console.log(values.output === 'json' ? JSON.stringify(figures, undefined, 2) : page);
  if (values.out === undefined) return;
  mkdirSync(values.out, { recursive: true });
  writeFileSync(`${values.out}/cluster.md`, page);
  writeFileSync(`${values.out}/cluster.json`, `${JSON.stringify(figures, undefined, 2)}\n`);
  console.error(`written: ${values.out}/cluster.md, cluster.json`);
}

function amount(name: 'nodes' | 'pods' | 'services' | 'changes', otherwise: number): number {
  const n = values[name] === undefined ? otherwise : Number(values[name]);
  if (Number.isInteger(n) && n >= 1 && n <= 100_000) return n;
  throw new Error(`--${name} ${values[name]} is no number of ${name}`);
}
