/** Writes to the store in the folder it is told, and says on standard output what was acknowledged; until it is killed. */
import { LmdbStore } from '../../../src/apiserver/store/lmdb-store.ts';
import { put } from './store-suite.ts';

const [, , path = '', round = ''] = process.argv;
const store = LmdbStore.open({ path });
const SLOTS = 50;

async function write(worker: number): Promise<void> {
  for (let i = 0; ; i++) {
    const key = `/crash/${worker}-${i % SLOTS}`;
    const value = `${round}.${i}`;
    const { revision } = await store.commit({ conditions: [], writes: [put(key, value), put(`${key}/twin`, value)] });
    process.stdout.write(`${revision} ${key} ${value}\n`);
    if (worker === 0 && i % 40 === 39) await store.compact(revision - 20);
  }
}

await Promise.all([0, 1, 2, 3].map(write));
