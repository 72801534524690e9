/**
 * `make docs-compose`: renews what the documents show of the compose lab, from one lab that it brings up and takes down:
 * the pictures in docs/images/, then the output of the commands that the documents name (scripts/update-docs.mjs).
 *
 *   node dist/test/compose/docs.js            both
 *   node dist/test/compose/docs.js pictures   pictures alone
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mustRun } from '../../src/lab/run.ts';
import { ROOT } from '../house/rooms.ts';
import { ComposeLab } from './compose-lab.ts';
import { type Engine, findEngine } from './engine.ts';
import { drawFailover } from './failover-picture.ts';
import type { Picture } from './picture.ts';
import { readTopology, runFailover } from './picture-runs.ts';
import { drawTopology } from './topology-picture.ts';

const IMAGES = join(ROOT, 'docs/images');
const wanted = process.argv.slice(2);
if (wanted.length > 1 || (wanted.length === 1 && wanted[0] !== 'pictures')) {
  console.error('usage: node dist/test/compose/docs.js [pictures]');
  process.exit(2);
}

const engine = await findEngine();
if (typeof engine === 'string') {
  console.error(`weft: the documents of the compose lab stay as they are: ${engine}`);
  process.exit(1);
}
process.exitCode = await renew(engine).finally(() => engine.stop());

async function renew(engine: Engine): Promise<number> {
  const { env } = engine;
  const sh = { file: 'sh', args: [], env };
  const lab = new ComposeLab(env);
  const running = await mustRun({ file: 'docker', args: [], env }, ['ps', '-q', '--filter', 'name=^weft[-_]']);
  if (running !== '') {
    console.error('weft: a compose lab is up, whose commands may change it: take it down with make compose-down');
    return 1;
  }
  const down = (): Promise<string> => mustRun(sh, [join(ROOT, 'compose/down.sh')]);
  console.log('building the image');
  await mustRun(sh, [join(ROOT, 'compose/build-image.sh')], { timeoutMs: 480_000 });
  await engine.isolate();
  try {
    await lab.compose(['up', '-d', '--no-build']);
    await lab.untilAllAnswer();
    keep('compose-topology.svg', drawTopology(await readTopology(lab)));
    keep('compose-failover.svg', drawFailover(await runFailover(lab)));
  } finally {
    await down();
  }
  if (wanted.length > 0) return 0;
  try {
    const words = ['scripts/update-docs.mjs', '--compose'];
    return spawnSync(process.execPath, words, { cwd: ROOT, env, stdio: 'inherit' }).status ?? 1;
  } finally {
    await down();
  }
}

function keep(name: string, picture: Picture): void {
  mkdirSync(IMAGES, { recursive: true });
  writeFileSync(join(IMAGES, name), picture.toString());
  console.log(`renewed docs/images/${name}`);
}
