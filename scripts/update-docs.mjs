/**
 * Keeps what the documents show true: output of real runs and tables made from the code, between marks in README.md
 * and below docs/. Nothing between marks is written by hand.
 *
 *   <!-- run: COMMAND -->        the command and what it printed; the commands of all files run in order
 *   <!-- compose: COMMAND -->    the same, where a Docker engine answers; each command runs once, however often shown
 *   <!-- generated: NAME -->     a table made from the code
 *   <!-- end -->
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { BEFORE, KERNEL, OWN } from '../dist/bench/contenders/every-contender.js';
import { bestPeer } from '../dist/bench/figures.js';
import { groupTables } from '../dist/bench/profile-groups.js';
import { cost, number, ratio, ratioWithEnds } from '../dist/bench/report-words.js';
import { buildProgram } from '../dist/src/cli/program.js';
import { DROP_REASONS } from '../dist/src/dataplane/drop-reasons.js';

const USAGE = `usage: node scripts/update-docs.mjs [--tables | --compose | --check]
  renews output of runs and generated tables in README.md and docs/; labs live in a folder of their own and are taken down
  --tables   generated tables only, without running anything
  --compose  output of the compose lab only; make docs-compose brings an engine along
  --check    only says whether generated tables are up to date`;
const FILES = [
  'README.md',
  ...readdirSync('docs', { recursive: true })
    .filter((f) => f.endsWith('.md'))
    .map((f) => join('docs', f))
    .sort(),
];
// What of the last bench people look for first.
const BENCHMARK_ROWS = [
  'tcp-1',
  'tcp-4',
  'tcp-1/no-offloads',
  'flood',
  'flood-2',
  'loss-free',
  'ping',
  'request-response-p50',
  'connections',
  'tcp-1/service',
  'tcp-1/one-host',
];
const AGAINST_ROWS = [
  'tcp-1',
  'tcp-4',
  'tcp-1/no-offloads',
  'flood',
  'loss-free',
  'ping',
  'ping-idle',
  'request-response-p50',
  'connections',
];
const SERVICE_ROWS = [
  'connections/service',
  'stream/service',
  'stream/share',
  'request-response-p50/service',
  'request-response-p50/share',
];
const BLOCK = /<!-- (run|compose|generated): (.+?) -->\n[\s\S]*?<!-- end -->/g;
const GENERATED = { 'drop-reasons': dropReasons, commands, benchmark, services, names, against, profile };

const { check, renews } = readOptions();
const home = mkdtempSync(join(tmpdir(), 'weft-docs-'));
const shown = new Map();
try {
  // All of them before any is written: a command that fails leaves every document as it was.
  const stale = FILES.map((file) => {
    const before = readFileSync(file, 'utf8');
    const after = before.replace(BLOCK, (whole, kind, name) => {
      if (!renews.includes(kind)) return whole;
      return `<!-- ${kind}: ${name} -->\n${kind === 'generated' ? generate(name) : show(kind, name)}\n<!-- end -->`;
    });
    return { file, before, after };
  }).filter(({ before, after }) => after !== before);
  for (const { file, after } of stale) {
    if (check) console.error(`${file} is not up to date: run make docs`);
    else writeFileSync(file, after);
    if (!check) console.log(`renewed ${file}`);
  }
  if (check && stale.length > 0) process.exitCode = 1;
} finally {
  if (renews.includes('run')) {
    spawnSync('npx', ['weft', 'lab', 'down', '--all'], { env: environment(), stdio: 'ignore' });
  }
  rmSync(home, { recursive: true, force: true });
}

/** Which kinds of marks are renewed, from the command line; ends where it says nothing that is known. */
function readOptions() {
  const flags = { tables: ['generated'], compose: ['compose'], check: ['generated'] };
  const options = Object.fromEntries([...Object.keys(flags), 'help'].map((name) => [name, { type: 'boolean' }]));
  try {
    const { help, ...chosen } = parseArgs({ options }).values;
    if (help) {
      console.log(USAGE);
      process.exit(0);
    }
    const [flag, ...more] = Object.keys(chosen);
    if (more.length > 0) throw new Error(`--${flag} goes without --${more[0]}`);
    return { check: flag === 'check', renews: flags[flag] ?? ['run', 'generated'] };
  } catch (error) {
    console.error(`${error.message}\n${USAGE}`);
    process.exit(2);
  }
}

function show(kind, command) {
  if (kind === 'run') return run(command);
  // A document says what people type at a terminal; without one docker-compose wants -T, and it may be Compose v2.
  const told = command.replace(/^docker-compose exec /, 'sh compose/compose.sh exec -T ');
  if (!shown.has(command)) shown.set(command, run(command, told));
  return shown.get(command);
}

function generate(name) {
  const make = GENERATED[name];
  if (!make) throw new Error(`nothing generates ${name}`);
  return make();
}

/** A command as the document shows it, by what is run for it. */
function run(command, told = command) {
  console.log(`$ ${command}`);
  // 2>&1 by the shell: one stream in the order in which people see it.
  const { status, stdout } = spawnSync('sh', ['-c', `{ ${told}\n} 2>&1`], {
    encoding: 'utf8',
    env: environment(),
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 600_000,
  });
  if (status !== 0) throw new Error(`${command}: exit code ${status}\n${stdout}`);
  const said = stdout
    // Where an ordinary user's labs are.
    .replaceAll(home, '~/.local/state/weft')
    .split('\n')
    // What npm thinks of this machine's settings, and what make had to build first, is no part of the command.
    .map((line) => line.trimEnd())
    .filter((line) => !/^(npm warn|compiling |installing )/.test(line))
    // docker-compose writes such a line again when it is done.
    .filter((line) => !/^Creating .* \.\.\.$/.test(line));
  return ['```console', `$ ${command}`, said.join('\n').trimEnd(), '```'].join('\n');
}

function environment() {
  return { ...process.env, WEFT_HOME: home, NO_COLOR: '1', COLUMNS: '120' };
}

function dropReasons() {
  // The first two count packets that were not lost.
  const rows = DROP_REASONS.slice(2).map(({ id, sentence }) => `| \`${id}\` | ${sentence} |`);
  return ['| reason | what happened |', '| --- | --- |', ...rows].join('\n');
}

function commands() {
  const rows = [];
  const visit = (command, path) => {
    for (const child of command.commands) {
      if (child._hidden || child.name() === 'help') continue;
      const at = `${path} ${child.name()}`;
      if (child.commands.length > 0) visit(child, at);
      else rows.push(`| \`${at}${usage(child)}\` | ${child.description()} |`);
    }
  };
  visit(buildProgram(), 'weft');
  return ['| command | what it does |', '| --- | --- |', ...rows].join('\n');
}

function usage(command) {
  return command.registeredArguments
    .map((a) => (a.required ? ` ${a.name().toUpperCase()}` : ` [${a.name()}]`))
    .join('');
}

/** This Weft beside an older one, from the last make bench-against. */
function against() {
  const { figures, participants, machine, rounds } = JSON.parse(readFileSync('docs/benchmarks/against.json', 'utf8'));
  const before = participants.find((p) => p.name === BEFORE);
  const lines = AGAINST_ROWS.flatMap((name) => {
    const figure = figures.find((f) => f.name === name);
    const [own, old] = [figure?.standings[OWN], figure?.standings[BEFORE]];
    if (!own || !old?.ratio) return [];
    const title = figure.better === 'lower' ? `${figure.title} (lower is better)` : figure.title;
    const show = (standing) =>
      [`${number(standing.median)} ${figure.unit}`, cost(standing.cost)].filter(Boolean).join(', ');
    return [`| ${title} | **${ratioWithEnds(old.ratio)}** | ${show(own)} | ${show(old)} |`];
  });
  const where = `${machine.processors}, ${machine.kernel}, ${rounds} round${rounds === 1 ? '' : 's'}`;
  return [
    `| ${where} | now / before | now: ${machine.commit} | before: ${before.title} |`,
    '| --- | --- | --- | --- |',
    ...lines,
  ].join('\n');
}

/** The last profile in few lines. */
function profile() {
  return groupTables(JSON.parse(readFileSync('docs/benchmarks/profile.json', 'utf8')).profiles);
}

/** Everyone's service in the last make bench-services. */
function services() {
  const { figures, participants, machine, rounds } = JSON.parse(readFileSync('docs/benchmarks/services.json', 'utf8'));
  const lines = SERVICE_ROWS.flatMap((name) => {
    const figure = figures.find((f) => f.name === name);
    if (!figure) return [];
    const { title, unit, better } = figure;
    const show = ({ name }) => (figure.standings[name] ? number(figure.standings[name].median) : '-');
    return [
      `| ${title}, ${unit}${better === 'lower' ? ' (lower is better)' : ''} | ${participants.map(show).join(' | ')} |`,
    ];
  });
  const where = `${machine.processors}, ${machine.kernel}, ${rounds} round${rounds === 1 ? '' : 's'}`;
  return [
    `| ${where} | ${participants.map((p) => p.title).join(' | ')} |`,
    `| --- |${participants.map(() => ' ---: |').join('')}`,
    ...lines,
  ].join('\n');
}

/** The ratios of the last bench, from its own JSON. */
function benchmark() {
  const { figures, participants, machine, rounds } = JSON.parse(readFileSync('docs/benchmarks/overlay.json', 'utf8'));
  const peer = participants.find((p) => p.name === KERNEL);
  const lines = BENCHMARK_ROWS.flatMap((name) => {
    const figure = figures.find((f) => f.name === name);
    const own = figure?.standings[OWN];
    if (!own) return [];
    const show = (standing) => (standing ? `${number(standing.median)} ${figure.unit}` : '-');
    const beside = figure.standings[KERNEL];
    const best = bestPeer(figure, participants, 'plain');
    const to = (standing) => (standing?.ratio ? ratio(standing.ratio.median) : '-');
    const bestRatio = best ? `${to(figure.standings[best.name])} (${best.title})` : '-';
    const title = figure.better === 'lower' ? `${figure.title} (lower is better)` : figure.title;
    return [`| ${title} | **${to(beside)}** | ${bestRatio} | ${show(own)} | ${show(beside)} |`];
  });
  const where = `${machine.processors}, ${machine.kernel}, ${rounds} round${rounds === 1 ? '' : 's'}`;
  return [
    `| ${where} | Weft / ${peer.title} | Weft / best program without encryption | Weft | ${peer.title} |`,
    '| --- | --- | --- | --- | --- |',
    ...lines,
  ].join('\n');
}

/** DNS servers beside each other, from the last make bench-dns. */
function names() {
  const { figures, participants, machine, rounds } = JSON.parse(readFileSync('docs/benchmarks/dns.json', 'utf8'));
  const lines = figures.map(({ title, unit, better, standings }) => {
    const cells = participants.map(({ name }) => (standings[name] ? number(standings[name].median) : '-'));
    return `| ${title}, ${unit}${better === 'lower' ? ' (lower is better)' : ''} | ${cells.join(' | ')} |`;
  });
  const where = `${machine.processors}, ${machine.kernel}, ${rounds} round${rounds === 1 ? '' : 's'}`;
  return [
    `| ${where} | ${participants.map(({ title }) => title).join(' | ')} |`,
    `| --- |${' --- |'.repeat(participants.length)}`,
    ...lines,
  ].join('\n');
}
