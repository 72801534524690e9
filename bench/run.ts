#!/usr/bin/env node
/**
 * `make bench` and `weft bench`: Weft beside its peers on one topology, in interleaved rounds, ratios first. Every
 * contender has its own hosts and pods, made before and gone after, for the whole run happens in namespaces of its own
 * that end with it.
 *
 *   node dist/bench/run.js [--rounds N] [--seconds N] [--subjects NAME,…] [--peers NAME,…] [--quick] [--list]
 *                          [--services | --dns] [--against CHECKOUT] [-o table|json] [--out FOLDER]
 *
 * --services: ways to a service's endpoints, and proxies, in place of networks between pods. --dns: DNS servers.
 * --against: another checkout of Weft, built, takes part as a contender of its own; what is written then is
 * FOLDER/against.json.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { isInstalled } from './command.ts';
import { figuresOf } from './figures.ts';
import { judgeFloors } from './floors.ts';
import { FLOORS } from './goals.ts';
import { isIsolated, runIsolated } from './isolation.ts';
import { otherCheckout } from './machine.ts';
import { AGAINST_SUBJECTS, namesOf } from './plan.ts';
import { DNS, OVERLAY, SERVICES } from './programme.ts';
import { progressOn } from './progress.ts';
import { jsonOf, writeReport } from './report.ts';
import { floorTable, tableOf } from './report-table.ts';
import { runContest } from './rounds.ts';

/** Settings of a quick run: long enough to see what is broken, short enough for every change. */
const QUICK = { rounds: 2, seconds: 1 };
const FULL = { rounds: 5, seconds: 1 };

const TOOLS = ['ip', 'bridge', 'nsenter', 'ethtool', 'ping', 'iperf3', 'g++'];

const { values } = parseArgs({
  options: {
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    subjects: { type: 'string' },
    peers: { type: 'string' },
    services: { type: 'boolean', default: false },
    dns: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    against: { type: 'string' },
    output: { type: 'string', short: 'o', default: 'table' },
    out: { type: 'string' },
  },
});

try {
  process.exitCode = isIsolated() ? await main() : await runIsolated(process.argv.slice(2));
} catch (error) {
  console.error(`weft: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}

async function main(): Promise<number> {
  await requireTools();
  const programme = values.dns ? DNS : values.services ? SERVICES : OVERLAY;
  const defaults = values.quick ? QUICK : FULL;
  const rounds = amount('rounds', defaults.rounds);
  const seconds = amount('seconds', defaults.seconds);
  const against = values.against === undefined ? undefined : otherCheckout(values.against);
  // Two versions of ours are compared with each other, unless somebody else is named.
  const subjects =
    values.subjects?.split(',') ??
    (against && !values.quick && programme === OVERLAY ? [...AGAINST_SUBJECTS] : undefined);
  const peers = values.peers?.split(',') ?? (against && []);
  const all = namesOf(programme.stagesOf({ seconds, quick: values.quick }));
  if (values.list) {
    console.log(`subjects: ${[...all.subjects].join(' ')}\npeers: ${[...all.peers].join(' ')}`);
    return 0;
  }
  known('--subjects', subjects, all.subjects);
  known('--peers', peers, all.peers);
  const narrowed = { ...(subjects && { subjects }), ...(peers && { peers }), ...(against && { against }) };
  const stages = programme.stagesOf({ seconds, quick: values.quick, ...narrowed });
  const contest = await runContest(stages, { rounds, seconds, progress: progressOn(process.stderr) });
  const figures = figuresOf(contest, values.quick ? [] : programme.goals);
  const floors = values.quick && programme === OVERLAY ? judgeFloors(contest, figures, FLOORS) : [];
  if (values.output === 'json') console.log(jsonOf(contest, figures).trimEnd());
  else console.log(`\n${tableOf(programme, contest, figures)}${floors.length > 0 ? `\n\n${floorTable(floors)}` : ''}`);
  if (values.out && against) console.error(`written: ${writeJson(values.out, jsonOf(contest, figures))}`);
  else if (values.out)
    console.error(`written: ${(await writeReport(programme, contest, figures, values.out)).join(', ')}`);
  // Goals are where we want to be: only what is broken fails a run.
  const broken = contest.failures.some((f) => /^(Weft|kernel)/.test(f.what));
  return floors.some((f) => f.fell) || broken || contest.checksumErrors > 0 ? 1 : 0;
}

function writeJson(folder: string, json: string): string {
  const path = `${folder}/against.json`;
  mkdirSync(folder, { recursive: true });
  writeFileSync(path, json);
  return path;
}

async function requireTools(): Promise<void> {
  const missing: string[] = [];
  for (const tool of TOOLS) if (!(await isInstalled(tool))) missing.push(tool);
  if (missing.length > 0)
    throw new Error(`the bench needs ${missing.join(', ')}: make bench says which packages have them`);
}

function amount(name: 'rounds' | 'seconds', otherwise: number): number {
  const n = values[name] === undefined ? otherwise : Number(values[name]);
  const whole = name === 'rounds' ? Number.isInteger(n) && n >= 1 : n >= 0.2;
  if (!whole || n > 1000) throw new Error(`--${name} ${values[name]} is no number of ${name}`);
  return n;
}

function known(option: string, names: readonly string[] | undefined, all: ReadonlySet<string>): void {
  const unknown = names?.find((name) => !all.has(name));
  if (unknown !== undefined) throw new Error(`${option} ${unknown}: there are ${[...all].join(', ')}`);
}
