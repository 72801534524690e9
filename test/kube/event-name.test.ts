/** Names of Events: kubectl shows those of one second in the order of their names. */
import t from 'tap';
import { EventNames } from '../../src/kube/event-name.ts';

t.test('names stand in the order of what happened, whoever told it', async (t) => {
  const [scheduler, agent] = [new EventNames(), new EventNames()];
  const atMs = 1_700_000_000_000;
  const names = [scheduler.next('web', atMs)];
  for (let i = 0; i < 40; i++) names.push(agent.next('web', atMs + 1));
  names.push(scheduler.next('web', atMs + 2));
  t.strictSame([...names].sort(), names);
  t.equal(new Set(names).size, names.length);
  t.match(names[0], /^web\.[0-9a-f]{16}$/);
});

t.test('a long name is cut where a name may end', async (t) => {
  const name = new EventNames().next(`${'n'.repeat(229)}-${'m'.repeat(23)}`, Date.now());
  t.match(name, /^n{229}\.[0-9a-f]{16}$/);
});
