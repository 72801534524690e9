/** `kill -9` at random points in 200 rounds of writes: what was acknowledged is there, nothing is there by half. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { LmdbStore } from '../../../src/apiserver/store/lmdb-store.ts';
import { prefixRange } from '../../../src/apiserver/store/store.ts';

const ROUNDS = 200;
const writer = fileURLToPath(
  new URL(`./crash-writer${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url),
);

t.test(`${ROUNDS} rounds`, { timeout: 600_000 }, async (t) => {
  const path = join(t.testdir(), 'store');
  /** What each key was last said to hold, and by which revision. */
  const acknowledged = new Map<string, { value: string; revision: number }>();
  let newest = 0;
  let writes = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const child = spawn(process.execPath, [...process.execArgv, writer, path, `${round}`], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const gone = new Promise((resolve) => child.once('close', resolve));
    let said = '';
    child.stdout.on('data', (chunk) => {
      said += chunk;
    });
    // At its start, in the midst of it, or while it compacts.
    const started = Date.now();
    const wanted = round % 10 === 0 ? 0 : 1 + Math.random() * 200;
    while (said.split('\n').length < wanted && Date.now() - started < 5000) await sleep(1);
    await sleep(Math.random() * 3);
    child.kill('SIGKILL');
    await gone;
    for (const line of said.split('\n').slice(0, -1)) {
      const [revision = '', key = '', value = ''] = line.split(' ');
      acknowledged.set(key, { value, revision: Number(revision) });
      newest = Math.max(newest, Number(revision));
      writes++;
    }
    const store = LmdbStore.open({ path });
    const { values, revision } = await store.range(prefixRange('/crash/'));
    const stands = new Map(values.map((v) => [v.key, v]));
    const text = (key: string) => Buffer.from(stands.get(key)?.value ?? []).toString();
    const lost = [...acknowledged].filter(([key, { value, revision: then }]) => {
      const found = stands.get(key);
      // A later write may have taken place without having been acknowledged.
      return found === undefined || found.modRevision < then || (found.modRevision === then && text(key) !== value);
    });
    const halves = [...stands.keys()].filter((key) => !key.endsWith('/twin') && text(key) !== text(`${key}/twin`));
    if (lost.length + halves.length > 0 || revision < newest) {
      t.fail(
        `round ${round}: lost ${JSON.stringify(lost.slice(0, 3))}, by half ${halves.slice(0, 3)}, revision ${revision} of ${newest}`,
      );
    }
    await store.close();
  }
  t.ok(writes > ROUNDS * 20, `${writes} acknowledged writes survived ${ROUNDS} kills`);
});
