/**
 * Every linter, two at a time, each quiet unless it finds something: formatting and lint (biome), rules that need
 * types (eslint), the rooms (dependency-cruiser), unused files, exports and packages (knip). Exits non-zero when
 * one of them did.
 */
import { spawn } from 'node:child_process';

const LINTERS = [
  ['eslint', 'eslint', '.', '--max-warnings=0'],
  ['biome', 'biome', 'check', '--max-diagnostics=20', '--error-on-warnings', '.'],
  ['imports', 'depcruise', 'src', '--config', '.dependency-cruiser.cjs', '--output-type', 'err'],
  ['unused', 'knip', '--no-progress', '--no-config-hints'],
];

let failed = 0;
const queue = [...LINTERS];
const worker = async () => {
  for (let next = queue.shift(); next; next = queue.shift()) await lint(...next);
};
await Promise.all([worker(), worker()]);
process.exitCode = failed > 0 ? 1 : 0;

function lint(name, command, ...args) {
  const begun = Date.now();
  return new Promise((resolve) => {
    const child = spawn(`node_modules/.bin/${command}`, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (data) => {
      output += data;
    });
    child.stderr.on('data', (data) => {
      output += data;
    });
    child.on('error', (error) => {
      output += error.message;
    });
    child.on('close', (code) => {
      if (code !== 0) failed++;
      console.log(`${code === 0 ? 'pass' : 'FAIL'} ${name}  ${((Date.now() - begun) / 1000).toFixed(1)} s`);
      if (code !== 0) console.log(output.trimEnd().replace(/^/gm, '    '));
      resolve();
    });
  });
}
