/**
 * Samples of all processors while something runs, by `perf record`: of the processors' clock and not of its cycles, so
 * that each sample stands for the same time, and virtual machines without counters can do it.
 */
import { rmSync } from 'node:fs';
import { outputOf, sleep, start } from './command.ts';
import type { Frame, StackSample } from './profile-categories.ts';

const SAMPLES_PER_SECOND = 997;
/** Until it samples, and until what was measured has come to rest. */
const SETTLE_MS = 600;
const SCRIPT_ARGUMENTS = ['--no-inline', '-F', 'comm,pid,period,ip,sym,dso'];

export async function sampled<T>(file: string, work: () => Promise<T>): Promise<{ result: T; samples: StackSample[] }> {
  const argv = ['perf', 'record', '-q', '-a', '-g', '-e', 'cpu-clock', '-F', `${SAMPLES_PER_SECOND}`, '-o', file];
  const recorder = start(argv);
  // It ends by the signal that ends it, and is not wrong then.
  const recorded = outputOf(recorder, argv).catch((error: Error) => {
    if (!/SIGINT/.test(error.message)) throw error;
  });
  try {
    await Promise.race([sleep(SETTLE_MS), recorded]);
    if (recorder.exitCode !== null) throw new Error('perf ended before anything was measured');
    const result = await work();
    recorder.kill('SIGINT');
    await recorded;
    const script = ['perf', 'script', '-i', file, ...SCRIPT_ARGUMENTS];
    return { result, samples: samplesOf(await outputOf(start(script), script)) };
  } finally {
    recorder.kill('SIGKILL');
    for (const path of [file, `${file}.old`]) rmSync(path, { force: true });
  }
}

/** What `perf script` prints: a line about each sample, one for each of its frames, and an empty one. */
export function samplesOf(script: string): StackSample[] {
  return script.split('\n\n').flatMap((block) => {
    const [head = '', ...lines] = block.split('\n').filter((line) => line !== '');
    const [, command, pid, nanoseconds] = /^\s*(.*?)\s+(-?\d+)\s+(\d+)\s*:?\s*$/.exec(head) ?? [];
    if (command === undefined) return [];
    const frames = lines.flatMap((line) => frameOf(line) ?? []);
    return [{ command, pid: Math.max(0, Number(pid)), seconds: Number(nanoseconds) / 1e9, frames }];
  });
}

function frameOf(line: string): Frame | undefined {
  const [, address, symbol, object] = /^\s+([0-9a-f]+) (.*) \((.*)\)$/.exec(line) ?? [];
  if (address === undefined || symbol === undefined || object === undefined) return undefined;
  // The upper half of the addresses is the kernel's. Where a checkout stands is nobody's business.
  const kernel = address.length === 16 && address.startsWith('ffff');
  return { symbol: symbol.replace(/file:\/\/\S*?\/dist\//, ''), object, kernel };
}
