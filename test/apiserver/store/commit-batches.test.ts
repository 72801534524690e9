/** Transactions that may share a commit: which do, when they go, and what one that fails does to the others. */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { CommitBatches } from '../../../src/apiserver/store/commit-batches.ts';
import { type Committed, StoreError, type Transaction } from '../../../src/apiserver/store/store.ts';

/** What was sent, as the keys that were written; `answer` may throw. */
function batches(answer: (keys: readonly string[]) => void = () => {}) {
  const sent: string[][] = [];
  const made = new CommitBatches(async (transactions) => {
    const keys = transactions.map(({ writes }) => writes[0]?.key ?? '');
    sent.push(keys);
    await sleep(1);
    answer(keys);
    return keys.map((key): Committed => ({ succeeded: true, revision: Number(key.replace(/\D/g, '')), found: [] }));
  });
  return { sent, made };
}

function write(key: string, { reads = key, bytes = 0 } = {}): Transaction {
  const conditions = [{ key: reads, modRevision: 1 }];
  return { conditions, writes: [{ type: 'put', key, value: Buffer.alloc(bytes) }], mayShare: true };
}

t.test('one alone goes at once, those that come meanwhile together', async (t) => {
  const { sent, made } = batches();
  const first = made.commit(write('k0'));
  t.same(sent, [['k0']]);
  const later = Promise.all([1, 2, 3].map((i) => made.commit(write(`k${i}`))));
  t.equal((await first).revision, 0);
  t.equal(sent.length, 1);
  const answers = await later;
  t.same(
    answers.map(({ revision }) => revision),
    [1, 2, 3],
    'each has its own answer',
  );
  t.same(sent, [['k0'], ['k1', 'k2', 'k3']]);
  await sleep(30);
  void made.commit(write('k4'));
  t.same(sent[2], ['k4'], 'after a rest nobody waits');
});

t.test('what depends on what another one writes goes by itself, and none is too large', async (t) => {
  const { sent, made } = batches();
  await made.commit(write('k0'));
  sent.length = 0;
  const together = [
    write('k1'),
    write('k1'),
    write('k2', { reads: 'k1' }),
    write('k3', { reads: 'k4' }),
    write('k4', { reads: 'k5' }),
    write('k6', { reads: 'k5' }),
  ];
  await Promise.all(together.map((one) => made.commit(one)));
  t.same(sent, [['k1', 'k3', 'k6'], ['k1', 'k4'], ['k2']]);
  sent.length = 0;
  await Promise.all(Array.from({ length: 150 }, (_, i) => made.commit(write(`k${i}`))));
  t.ok(sent.every((keys) => keys.length <= 64));
  t.equal(sent.flat().length, 150);
  sent.length = 0;
  await Promise.all([1, 2, 3].map((i) => made.commit(write(`k${i}`, { bytes: 200_000 }))));
  t.equal(sent.length, 3);
});

t.test('thousands for one key wait for nobody but each other', async (t) => {
  const { sent, made } = batches();
  await made.commit(write('k0'));
  const began = performance.now();
  await Promise.all(Array.from({ length: 4000 }, () => made.commit(write('k1'))));
  t.ok(performance.now() - began < 1500, `${Math.round(performance.now() - began)} ms`);
  t.ok(sent.every((keys) => keys.length === 1));
});

t.test('an etcd that takes fewer operations at a time is given fewer', async (t) => {
  const { sent, made } = batches((keys) => {
    if (keys.length > 20) throw new StoreError('bad-request', 'etcdserver: too many operations in txn request');
  });
  for (let round = 0; round < 4; round++) {
    await made.commit(write('k0'));
    sent.length = 0;
    await Promise.all(Array.from({ length: 64 }, (_, i) => made.commit(write(`k${i}`))));
  }
  t.same(
    sent.map((keys) => keys.length),
    [16, 16, 16, 16],
  );
});

t.test('a refusal is the one it is meant for; without an answer nobody knows', async (t) => {
  let code: StoreError['code'] = 'bad-request';
  const { sent, made } = batches((keys) => {
    if (keys.includes('k2')) throw new StoreError(code, 'not this one');
  });
  await made.commit(write('k0'));
  const three = async () => {
    const all = await Promise.allSettled([1, 2, 3].map((i) => made.commit(write(`k${i}`))));
    return all.map(({ status }) => status);
  };
  t.same(await three(), ['fulfilled', 'rejected', 'fulfilled']);
  code = 'unavailable';
  sent.length = 0;
  t.same(await three(), ['rejected', 'rejected', 'rejected']);
  t.same(sent, [['k1', 'k2', 'k3']], 'what may have been written is not sent again');
});
