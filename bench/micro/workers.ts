/**
 * Packets per second of 1, 2 and 4 worker threads, each with a pipeline of its own over ports in memory: what the
 * decisions alone leave to gain from more workers. This file is the worker, too.
 */
import { availableParallelism } from 'node:os';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Bed, SCENES } from './bed.ts';
import { figure, table } from './markdown.ts';
import { budget } from './timing.ts';

const WORKERS = [1, 2, 4];
/** Words of the shared start signal. */
const READY = 0;
const GO = 1;

interface Start {
  signal: Int32Array;
  workers: number;
  seconds: number;
}

export async function workers(): Promise<string> {
  const seconds = budget.seconds * 2;
  const rows: string[][] = [];
  let alone = 0;
  for (const n of WORKERS) {
    const each = await packetsPerSecond(n, seconds);
    const all = each.reduce((sum, rate) => sum + rate, 0);
    if (n === 1) alone = all;
    rows.push([`${n}`, figure(all / n / 1e6), figure(all / 1e6), `${(all / alone).toFixed(2)} x`]);
  }
  return `## Workers

Million packets a second of several worker threads, each with its own flows and its own ports in memory, on
${availableParallelism()} processors: ${SCENES[0]?.title}, received, decided and sent, bytes copied in.

${table(['workers', 'each', 'all', 'to one'], rows)}`;
}

/** Of each of `n` workers, at the same time. */
async function packetsPerSecond(n: number, seconds: number): Promise<number[]> {
  const signal = new Int32Array(new SharedArrayBuffer(8));
  const start: Start = { signal, workers: n, seconds };
  const all = Array.from({ length: n }, () => new Worker(new URL(import.meta.url), { workerData: start }));
  return Promise.all(
    all.map(
      (worker) =>
        new Promise<number>((resolve, reject) => {
          worker.once('message', resolve);
          worker.once('error', reject);
        }),
    ),
  );
}

function work({ signal, workers, seconds }: Start): number {
  const bed = Bed.of(SCENES[0] as (typeof SCENES)[number]);
  const vectors = (until: number) => {
    let packets = 0;
    for (; performance.now() < until; packets += bed.host.vector.count) {
      bed.arrive();
      bed.decide();
    }
    return packets;
  };
  // Compiled and warm before anybody begins.
  vectors(performance.now() + 200);
  if (Atomics.add(signal, READY, 1) + 1 === workers) {
    Atomics.store(signal, GO, 1);
    Atomics.notify(signal, GO);
  }
  Atomics.wait(signal, GO, 0);
  const begun = performance.now();
  const packets = vectors(begun + seconds * 1000);
  return packets / ((performance.now() - begun) / 1000);
}

if (!isMainThread) parentPort?.postMessage(work(workerData as Start));
