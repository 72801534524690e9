/** `make compose-demo`: every check against the lab that `make compose` brought up, one table. Exit code 1 if any fell short. */
import colors from 'picocolors';
import type { CheckResult } from '../../src/lab/demo-checks.ts';
import { table } from '../../src/observe/table.ts';
import { CHECKS } from './checks.ts';
import { ComposeLab } from './compose-lab.ts';

const lab = new ComposeLab();
try {
  await lab.read();
} catch (error) {
  console.error(`weft: the compose lab does not answer: bring it up with make compose (${(error as Error).message})`);
  process.exit(1);
}
const results: CheckResult[] = [];
for (const [name, check] of CHECKS) {
  const result = await check(lab).catch(
    (error: Error): CheckResult => ({ check: name, ok: false, result: error.message, figure: '' }),
  );
  results.push(result);
  console.log(`${mark(result)} ${result.check}: ${result.result}`);
}
const rows = results.map((result) => [mark(result), result.check, result.figure]);
console.log(`\n${table(['', 'CHECK', 'FIGURE'], rows)}`);
const short = results.filter(({ ok }) => !ok).length;
console.log(`\n${short === 0 ? colors.green('everything as it should be') : colors.red(`${short} fell short`)}`);
process.exitCode = short === 0 ? 0 : 1;

function mark({ ok }: CheckResult): string {
  return ok ? colors.green('✓') : colors.red('✗');
}
