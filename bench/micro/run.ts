#!/usr/bin/env node
/**
 * `make bench-micro`: what the dataplane's decisions cost, in memory, without devices, on one processor. Printed, and
 * written to docs/benchmarks/pipeline.md.
 *
 *   node dist/bench/micro/run.js [--dry] [--quick] [--only PART[,PART]]
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { parseArgs } from 'node:util';
import { checksums } from './checksums.ts';
import { flowGrowth, serviceGrowth } from './growth.ts';
import { lookups } from './lookups.ts';
import { offloads } from './offloads.ts';
import { stages } from './stages.ts';
import { budget } from './timing.ts';
import { workers } from './workers.ts';

const FOLDER = 'docs/benchmarks';
const PARTS: Readonly<Record<string, () => Promise<string>>> = {
  stages,
  flows: flowGrowth,
  services: serviceGrowth,
  workers,
  lookups,
  checksums,
  offloads,
};

const { values } = parseArgs({
  options: {
    dry: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
  },
});
const only = values.only?.split(',') ?? Object.keys(PARTS);
const unknown = only.filter((name) => !(name in PARTS));
if (unknown.length > 0)
  throw new Error(`no such part: ${unknown.join(', ')}; there are ${Object.keys(PARTS).join(', ')}`);
if (values.quick) Object.assign(budget, { seconds: 0.05, rounds: 3 });

const [load = 0] = loadavg();
const sections: string[] = [];
for (const name of only) {
  const text = await (PARTS[name] as () => Promise<string>)();
  console.log(`${text}\n`);
  sections.push(text);
}
const [first] = cpus();
const commit = execFileSync('git', ['describe', '--always', '--dirty'], { encoding: 'utf8' }).trim();
const page = `# What a packet's decisions cost

Written by \`make bench-micro\`; every figure comes from a run, none is typed by hand. Medians of
runs, the least of ${budget.rounds} rounds in which everything took its turn.
${cpus().length} x ${first?.model.trim()}, Linux ${release()}, Node ${process.version}, commit ${commit};
load of the machine when it began: ${load.toFixed(1)}.

${sections.join('\n\n')}
`;
// A part is no page, and a quick figure no result.
if (!values.dry && !values.quick && !values.only) {
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(`${FOLDER}/pipeline.md`, page);
  console.log(`written: ${FOLDER}/pipeline.md`);
}
