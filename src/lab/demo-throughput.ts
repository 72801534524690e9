/**
 * One TCP stream pod to pod through Weft, beside one through the kernel's VXLAN between two pods of kernel hosts on
 * the same bridge: short runs in turn, so that both see the same machine, and medians.
 */
import { findTool } from '../agent/command.ts';
import type { CheckResult } from './demo-checks.ts';
import { addressOf, type DemoLab, enter } from './demo-lab.ts';
import type { Entry } from './exec.ts';
import { kernelPodEntry } from './kernel-host.ts';
import { mustRun } from './run.ts';
import type { Throughput } from './tcp-throughput.ts';
import { weftCommand } from './weft-command.ts';

/** What issue and bench hold us to: half of the kernel's. */
const ENOUGH = 0.5;
const PORT = 5201;
const SECONDS = 2;
const ROUNDS = 2;
const MOST_ROUNDS = 6;

export async function compareThroughput(demo: DemoLab): Promise<CheckResult> {
  const iperf = findTool('iperf3') !== undefined;
  const measure = iperf ? iperfStream : ownStream;
  const ours: number[] = [];
  const kernels: number[] = [];
  let ratio = 0;
  // A machine that is busy with something else for a moment gets another chance.
  for (let round = 0; round < MOST_ROUNDS && (round < ROUNDS || ratio < ENOUGH); round++) {
    ours.push(await measure(enter(demo, 'client-0'), enter(demo, 'web-1'), addressOf(demo, 'web-1')));
    kernels.push(
      await measure(kernelPodEntry(demo.lab, demo.fixed), kernelPodEntry(demo.lab, demo.learned), demo.learned.pod),
    );
    ratio = median(ours) / median(kernels);
  }
  return {
    check: `TCP stream pod to pod (${iperf ? 'iperf3' : 'own sender'})`,
    ok: ratio >= ENOUGH,
    result: `${median(ours).toFixed(2)} Gbit/s; kernel VXLAN ${median(kernels).toFixed(2)} Gbit/s`,
    figure: `${ratio.toFixed(2)} of the kernel's`,
  };
}

/** Gbit/s that iperf3 received. */
async function iperfStream(from: Entry, to: Entry, address: string): Promise<number> {
  const { ready, ended } = serve(to, ['iperf3', '-s', '-1', '-p', `${PORT}`, '--forceflush'], 'listening');
  await ready;
  const words = ['iperf3', '-c', address, '-p', `${PORT}`, '-t', `${SECONDS}`, '-J'];
  const report = JSON.parse(await mustRun(from, words)) as { end: { sum_received: { bits_per_second: number } } };
  await ended;
  return report.end.sum_received.bits_per_second / 1e9;
}

async function ownStream(from: Entry, to: Entry, address: string): Promise<number> {
  const weft = [...weftCommand(), 'tool'];
  const { ready, ended } = serve(to, [...weft, 'tcp-receive', '--port', `${PORT}`], 'listening');
  await ready;
  await mustRun(from, [...weft, 'tcp-send', address, '--port', `${PORT}`, '--seconds', `${SECONDS}`]);
  return (JSON.parse((await ended).trim().split('\n').at(-1) ?? '') as Throughput).gbitPerSecond;
}

/** Starts a server: `ready` when it has printed a word, `ended` with all that it printed. */
function serve(entry: Entry, words: readonly string[], word: string): { ready: Promise<void>; ended: Promise<string> } {
  let seen = '';
  let isReady = (): void => {};
  const listening = new Promise<void>((done) => {
    isReady = done;
  });
  const ended = mustRun(entry, words, {
    timeoutMs: SECONDS * 1000 + 10_000,
    onOutput: (text) => {
      seen += text;
      if (seen.includes(word)) isReady();
    },
  });
  // A server that fails before it listens must not leave us waiting.
  return { ready: Promise.race([listening, ended.then(() => {})]), ended };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? upper)) / 2;
}
