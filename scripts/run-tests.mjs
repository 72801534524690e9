/**
 * Runs tap test files, as compiled in dist/, and says what happened: one line per file, failures in full, skipped
 * tests with their reasons, and as the last line the totals: `N passed, N failed[, N skipped]`. Exits non-zero
 * when anything failed, when a file ended badly or when nothing ran.
 *
 *   node scripts/run-tests.mjs unit e2e          the suites of `make test`, one after the other
 *   node scripts/run-tests.mjs slow              test/**\/*.slow.test.ts alone
 *   node scripts/run-tests.mjs compose           test/compose/ alone: the lab as containers
 *   node scripts/run-tests.mjs test/wire x.test.ts   some folders or files
 *
 * Every file is a process of its own. Suite e2e (test/e2e/) runs one file at a time, for its tests own the machine's
 * processors and devices; others run as many at once as there are processors. WEFT_TEST_SECONDS sets a file's limit.
 */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Parser } from 'tap-parser';

const LIMIT_SECONDS = { unit: 120, e2e: 420, slow: 1800, compose: 900 };
const KILL_AFTER_MS = 10_000;
const FAILURE_LINES = 60;
const colour = process.stdout.isTTY && !process.env.NO_COLOR && !process.env.CI;
const paint = (code, text) => (colour ? `\x1b[${code}m${text}\x1b[0m` : text);

const running = new Set();
const totals = { pass: 0, fail: 0, skip: 0, todo: 0 };
const skips = [];
const failedFiles = [];

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    for (const child of running) stop(child, 'SIGTERM');
    setTimeout(() => process.exit(130), 3000).unref();
    process.exitCode = 130;
  });
}

const suites = chooseSuites(process.argv.slice(2));
const started = Date.now();
for (const { name, files } of suites) {
  const jobs = name === 'unit' ? availableParallelism() : 1;
  const queue = [...files];
  const worker = async () => {
    for (let file = queue.shift(); file && process.exitCode !== 130; file = queue.shift()) await runFile(file, name);
  };
  await Promise.all(Array.from({ length: Math.min(jobs, queue.length) }, worker));
}
report();

/** From arguments to suites of source files: suite names, folders, or files, as sources or as compiled. */
function chooseSuites(wanted) {
  const all = testFiles('test');
  const isSlow = (f) => f.endsWith('.slow.test.ts');
  const isE2e = (f) => f.startsWith('test/e2e/');
  const isCompose = (f) => f === 'test/compose/compose.test.ts';
  const named = {
    unit: all.filter((f) => !isSlow(f) && !isE2e(f) && !isCompose(f)),
    e2e: all.filter((f) => !isSlow(f) && isE2e(f)),
    slow: all.filter(isSlow),
    compose: all.filter(isCompose),
  };
  const chosen = [];
  for (const argument of wanted.length > 0 ? wanted : ['unit', 'e2e']) {
    if (argument in named) {
      chosen.push({ name: argument, files: named[argument] });
      continue;
    }
    const path = argument
      .replace(/^\.\//, '')
      .replace(/^dist\//, '')
      .replace(/\.js$/, '.ts')
      .replace(/\/$/, '');
    const files = all.filter(
      (f) => f === path || f.startsWith(`${path}/`) || (!path.includes('/') && f.includes(path)),
    );
    if (files.length === 0) {
      console.error(`no test file matches ${argument}`);
      process.exit(2);
    }
    for (const name of ['unit', 'e2e', 'slow', 'compose']) {
      const part = files.filter((f) => named[name].includes(f));
      if (part.length > 0) chosen.push({ name, files: part });
    }
  }
  return chosen;
}

function testFiles(folder) {
  return readdirSync(folder, { recursive: true })
    .map((f) => join(folder, f))
    .filter((f) => f.endsWith('.test.ts') && statSync(f).isFile())
    .sort();
}

function runFile(file, suite) {
  const compiled = join('dist', file.replace(/\.ts$/, '.js'));
  if (!existsSync(compiled)) {
    endFile(file, 0, { pass: 0, fail: 0, skip: 0, todo: 0 }, [`${compiled} does not exist: run make build`]);
    return Promise.resolve();
  }
  const seconds = Number(process.env.WEFT_TEST_SECONDS ?? LIMIT_SECONDS[suite]);
  const begun = Date.now();
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--enable-source-maps', compiled], {
      // Its own process group: what a test leaves behind when it runs out of time ends with it.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      // Without colours, as programs that write to a pipe do; in CI some would colour all the same.
      env: { ...process.env, NO_COLOR: '1', TAP_TIMEOUT: String(seconds) },
    });
    running.add(child);
    let chatter = '';
    const keep = (text) => {
      if (chatter.length < 65_536) chatter += text;
    };
    const parser = new Parser();
    const tally = { pass: 0, fail: 0, skip: 0, todo: 0 };
    const failures = [];
    const listen = (level) => {
      let failedBelow = false;
      level.on('child', (child) => {
        listen(child);
        child.on('complete', (results) => {
          failedBelow = results.fail > 0;
        });
      });
      level.on('assert', (result) => {
        // The line that closes a subtest repeats what its own lines said.
        if (result.closingTestPoint && (result.ok || failedBelow) && !result.skip) return;
        if (result.skip) {
          tally.skip++;
          skips.push({ file, name: result.fullname, reason: result.skip });
        } else if (result.todo) tally.todo++;
        else if (result.ok) tally.pass++;
        else {
          tally.fail++;
          failures.push(describe(result));
        }
      });
    };
    listen(parser);
    parser.on('extra', keep);
    parser.on('bailout', (reason) => failures.push(`bailed out: ${reason}`));
    const parsed = new Promise((done) => parser.on('complete', done));
    child.stdout.on('data', (data) => parser.write(data));
    child.stdout.on('end', () => parser.end());
    child.stderr.on('data', (data) => keep(String(data)));
    let late = false;
    const timer = setTimeout(
      () => {
        late = true;
        stop(child, 'SIGTERM');
        setTimeout(() => stop(child, 'SIGKILL'), KILL_AFTER_MS).unref();
      },
      (seconds + 5) * 1000,
    );
    child.on('error', (error) => failures.push(`could not start: ${error.message}`));
    child.on('exit', () => {
      // A grandchild that still holds the pipe must not hold the run.
      setTimeout(() => child.stdout.destroy(), 2000).unref();
    });
    child.on('close', async (code, signal) => {
      clearTimeout(timer);
      running.delete(child);
      parser.end();
      const results = await parsed;
      if (late) failures.push(`still running after ${seconds} s: killed`);
      else if (signal) failures.push(`killed by ${signal}`);
      else if (code !== 0 && tally.fail === 0) failures.push(`exit code ${code}`);
      if (tally.pass + tally.fail + tally.skip + tally.todo === 0 && !results.plan.skipAll)
        failures.push('asserts nothing');
      for (const f of results.failures) if (f.tapError) failures.push(`malformed TAP: ${f.tapError}`);
      if (results.plan.skipAll) {
        tally.skip++;
        skips.push({ file, name: '(whole file)', reason: results.plan.skipReason });
      }
      endFile(file, Date.now() - begun, tally, failures, chatter);
      resolve();
    });
  });
}

function stop(child, signal) {
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It has ended by itself.
  }
}

function endFile(file, ms, tally, failures, chatter = '') {
  // A file that ends badly counts as one failure even when none of its assertions failed.
  if (failures.length > tally.fail) tally.fail = failures.length;
  for (const key of Object.keys(totals)) totals[key] += tally[key];
  const bad = failures.length > 0;
  const notes = [tally.fail > 0 && `${tally.fail} failed`, tally.skip > 0 && `${tally.skip} skipped`].filter(Boolean);
  const detail = `${tally.pass} passed${notes.length > 0 ? `, ${notes.join(', ')}` : ''}, ${(ms / 1000).toFixed(1)} s`;
  console.log(`${bad ? paint(31, 'FAIL') : paint(32, 'pass')} ${file}  ${paint(2, detail)}`);
  if (!bad) return;
  failedFiles.push(file);
  console.log(failures.map((f) => indent(shortened(f))).join('\n\n'));
  if (chatter.trim()) console.log(indent(`what it printed besides:\n${indent(chatter.trimEnd())}`));
}

function describe(result) {
  const d = result.diag ?? {};
  const lines = [result.fullname];
  if (d.at?.fileName) lines.push(`at ${d.at.fileName}:${d.at.lineNumber}`);
  if (d.diff) lines.push(d.diff.trimEnd());
  for (const key of ['message', 'found', 'wanted', 'pattern', 'code', 'error', 'signal', 'expired']) {
    if (d[key] !== undefined) lines.push(`${key}: ${typeof d[key] === 'string' ? d[key] : JSON.stringify(d[key])}`);
  }
  if (d.stack) lines.push(String(d.stack).trimEnd());
  return lines.join('\n');
}

/** Two buffers that differ can fill thousands of lines. */
function shortened(text) {
  const lines = text.split('\n');
  if (lines.length <= FAILURE_LINES) return text;
  const half = FAILURE_LINES / 2;
  return [...lines.slice(0, half), `… ${lines.length - FAILURE_LINES} lines more …`, ...lines.slice(-half)].join('\n');
}

function indent(text) {
  return text.replace(/^/gm, '    ');
}

function report() {
  if (skips.length > 0) {
    console.log('\nskipped:');
    for (const [reason, list] of groupBy(skips, (s) => s.reason)) {
      const where = [...new Set(list.map((s) => s.file))].join(', ');
      console.log(`  ${list.length} x ${reason === true || !reason ? 'no reason given' : reason} (${where})`);
    }
  }
  if (failedFiles.length > 0) console.log(`\nfailed: ${failedFiles.join(' ')}`);
  console.log(`\n${((Date.now() - started) / 1000).toFixed(0)} s`);
  const none = totals.pass + totals.fail + totals.skip === 0;
  const rest = [totals.skip > 0 && `${totals.skip} skipped`, totals.todo > 0 && `${totals.todo} to do`].filter(Boolean);
  console.log([`${totals.pass} passed`, `${totals.fail} failed`, ...rest].join(', '));
  if (process.exitCode === undefined) process.exitCode = totals.fail > 0 || none ? 1 : 0;
}

function groupBy(list, key) {
  const groups = new Map();
  for (const item of list) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return groups;
}
