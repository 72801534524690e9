import { appendFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { follow, tail } from '../../src/lab/logs.ts';

t.test('the last lines', (t) => {
  const file = join(t.testdir({ log: 'one\ntwo\nthree\n' }), 'log');
  t.same(tail(file, 2), ['two', 'three']);
  t.same(tail(file, 9), ['one', 'two', 'three']);
  t.same(tail(file, 0), []);
  t.same(tail(`${file}.none`, 9), []);
  t.end();
});

t.test('follows a log that grows and one that is replaced', async (t) => {
  const folder = t.testdir({ log: 'first\n' });
  const file = join(folder, 'log');
  const abort = new AbortController();
  let seen = '';
  const following = follow(file, (chunk) => (seen += chunk.toString()), abort.signal);
  const until = async (text: string): Promise<void> => {
    for (let i = 0; i < 100 && seen !== text; i++) await sleep(20);
    t.equal(seen, text);
  };
  await until('first\n');
  appendFileSync(file, 'second\n');
  await until('first\nsecond\n');
  renameSync(file, `${file}.1`);
  writeFileSync(file, 'third\n');
  await until('first\nsecond\nthird\n');
  abort.abort();
  await following;
});
