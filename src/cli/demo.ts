/**
 * `weft demo`: brings a lab of its own up, tries everything that the network promises, prints one table, and takes the
 * lab down, whatever happens. Exit code 1 when anything fell short.
 */
import colors from 'picocolors';
import {
  balance,
  type CheckResult,
  failOver,
  ipv6Across,
  kernelInterop,
  noChecksumErrors,
  pingAcross,
  resolveService,
  traceAcross,
} from '../lab/demo-checks.ts';
import { bringDemoUp, type DemoLab } from '../lab/demo-lab.ts';
import { compareThroughput } from '../lab/demo-throughput.ts';
import { takeDown } from '../lab/down.ts';
import { LabDir } from '../lab/lab-dir.ts';
import { table } from '../observe/table.ts';

const NAME = 'demo';

type Check = [name: string, run: (demo: DemoLab) => Promise<CheckResult>];

const CHECKS: readonly Check[] = [
  ['ping', pingAcross],
  ['trace', traceAcross],
  ['IPv6', ipv6Across],
  ['resolve', resolveService],
  ['service', balance],
  ['failover', failOver],
  ['kernel VXLAN, fixed neighbours', (demo) => kernelInterop(demo, demo.fixed, 'fixed')],
  ['kernel VXLAN, learned neighbours', (demo) => kernelInterop(demo, demo.learned, 'learned')],
  ['throughput', compareThroughput],
  ['checksum errors', noChecksumErrors],
];

export async function demo(options: { keep?: boolean; output: 'table' | 'json' }): Promise<number> {
  const quiet = options.output === 'json';
  const began = Date.now();
  const lab = new LabDir(NAME);
  await takeDown(lab);
  const interrupt = (): void => {
    void takeDown(lab).then(() => process.exit(130));
  };
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  const results: CheckResult[] = [];
  try {
    const say = (step: string): void => {
      if (!quiet) console.log(`${colors.green('✓')} ${step}`);
    };
    const running = await bringDemoUp(NAME, say);
    for (const [name, check] of CHECKS) {
      const result = await check(running).catch(
        (error: Error): CheckResult => ({ check: name, ok: false, result: error.message, figure: '' }),
      );
      results.push(result);
      if (!quiet) console.log(`${mark(result)} ${result.check}: ${result.result}`);
    }
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
    if (!options.keep) await takeDown(lab);
  }
  const seconds = (Date.now() - began) / 1000;
  if (quiet) console.log(JSON.stringify({ seconds, results }, undefined, 2));
  else printTable(results, seconds, options.keep ?? false);
  return results.every((result) => result.ok) ? 0 : 1;
}

function printTable(results: readonly CheckResult[], seconds: number, kept: boolean): void {
  const rows = results.map((result) => [mark(result), result.check, result.result, result.figure]);
  console.log(`\n${table(['', 'CHECK', 'RESULT', 'FIGURE'], rows)}`);
  const short = results.filter((result) => !result.ok).length;
  const verdict = short === 0 ? colors.green('everything as it should be') : colors.red(`${short} fell short`);
  console.log(
    `\n${verdict} after ${seconds.toFixed(1)} s; ${kept ? 'weft lab down --name demo takes the lab down' : 'the lab is down'}`,
  );
}

function mark(result: CheckResult): string {
  return result.ok ? colors.green('✓') : colors.red('✗');
}
