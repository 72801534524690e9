/**
 * Keeps what the documents show true: output of real runs and tables made from the code, between marks in README.md
 * and docs/*.md. Nothing between marks is written by hand.
 *
 *   <!-- run: COMMAND -->        the command and what it printed; the commands of all files run in order
 *   <!-- generated: NAME -->     a table made from the code
 *   <!-- end -->
 *
 *   node scripts/update-docs.mjs           renews both; labs live in a folder of their own and are taken down
 *   node scripts/update-docs.mjs --tables  renews generated tables only, without running anything
 *   node scripts/update-docs.mjs --check   only says whether generated tables are up to date
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildProgram } from '../dist/src/cli/program.js';
import { DROP_REASONS } from '../dist/src/dataplane/drop-reasons.js';

const FILES = [
  'README.md',
  ...readdirSync('docs')
    .filter((f) => f.endsWith('.md'))
    .map((f) => join('docs', f)),
];
const BLOCK = /<!-- (run|generated): (.+?) -->\n[\s\S]*?<!-- end -->/g;
const GENERATED = { 'drop-reasons': dropReasons, commands, benchmark };

const check = process.argv.includes('--check');
// Tables alone, without running anything.
const tables = process.argv.includes('--tables');
const home = mkdtempSync(join(tmpdir(), 'weft-docs-'));
let stale = 0;
try {
  for (const file of FILES) {
    const before = readFileSync(file, 'utf8');
    const after = before.replace(BLOCK, (whole, kind, name) => {
      if (kind === 'generated') return `<!-- generated: ${name} -->\n${generate(name)}\n<!-- end -->`;
      return check || tables ? whole : `<!-- run: ${name} -->\n${run(name)}\n<!-- end -->`;
    });
    if (after === before) continue;
    stale++;
    if (check) console.error(`${file} is not up to date: run make docs`);
    else writeFileSync(file, after);
    if (!check) console.log(`renewed ${file}`);
  }
} finally {
  if (!check) spawnSync('npx', ['weft', 'lab', 'down', '--all'], { env: environment(), stdio: 'ignore' });
  rmSync(home, { recursive: true, force: true });
}
if (check && stale > 0) process.exitCode = 1;

function generate(name) {
  const make = GENERATED[name];
  if (!make) throw new Error(`nothing generates ${name}`);
  return make();
}

function run(command) {
  console.log(`$ ${command}`);
  // 2>&1 by the shell: one stream in the order in which people see it.
  const { status, stdout } = spawnSync('sh', ['-c', `{ ${command}\n} 2>&1`], {
    encoding: 'utf8',
    env: environment(),
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 300_000,
  });
  if (status !== 0) throw new Error(`${command}: exit code ${status}\n${stdout}`);
  const said = stdout
    .split('\n')
    // What npm thinks of this machine's settings, and what make had to build first, is no part of the command.
    .filter((line) => !/^(npm warn|compiling |installing )/.test(line))
    .map((line) => line.trimEnd());
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

/** The ratios of the last bench, from its own JSON. */
function benchmark() {
  const { rows, contenders, machine } = JSON.parse(readFileSync('docs/benchmarks/overlay.json', 'utf8'));
  const [own, peer] = contenders;
  const lines = rows.map((row) => {
    const ratio = row.ratios[peer.name].median.toFixed(2);
    const show = (name) => `${Number(row.medians[name]).toPrecision(3)} ${row.unit}`;
    return `| ${row.title} | **${ratio}** | ${show(own.name)} | ${show(peer.name)} |`;
  });
  return [
    `| ${machine.processors}, Linux ${machine.kernel} | ${own.title} / ${peer.title} | ${own.title} | ${peer.title} |`,
    '| --- | --- | --- | --- |',
    ...lines,
  ].join('\n');
}
