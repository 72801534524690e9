/** The plan of a rollout, by itself: from any state it comes to its end, within its bounds at every step. */
import t from 'tap';
import {
  resolveGoal,
  rollingStep,
  type SetSize,
  scaledSizes,
} from '../../../src/apiserver/controllers/rollout-plan.ts';

const set = (name: string, wanted: number, available = wanted, createdMs = 0, mostBefore = 0): SetSize => {
  return { name, wanted, available, pods: wanted, createdMs, mostBefore };
};

t.test('shares are rounded so that there is always a way', async (t) => {
  t.same(resolveGoal(4, '25%', '25%'), { replicas: 4, maxSurge: 1, maxUnavailable: 1 });
  t.same(resolveGoal(3, '25%', '25%'), { replicas: 3, maxSurge: 1, maxUnavailable: 0 });
  t.same(resolveGoal(10, 0, '5%'), { replicas: 10, maxSurge: 0, maxUnavailable: 1 }, 'never both nothing');
  t.same(resolveGoal(2, 3, 5), { replicas: 2, maxSurge: 3, maxUnavailable: 2 });
  t.same(resolveGoal(0, 1, 1), { replicas: 0, maxSurge: 1, maxUnavailable: 0 });
});

t.test('step by step', async (t) => {
  const goal = resolveGoal(3, 1, 0);
  const step = (newest: SetSize, ...old: SetSize[]) => Object.fromEntries(rollingStep(goal, newest, old));
  t.same(step(set('b', 0), set('a', 3)), { b: 1 });
  t.same(step(set('b', 1, 0), set('a', 3)), {}, 'the new one is not there yet');
  t.same(step(set('b', 1, 1), set('a', 3)), { a: 2 });
  t.same(step(set('b', 1, 1), { ...set('a', 2), pods: 3 }), {}, 'the old one is not gone yet');
  t.same(step(set('b', 1, 1), set('a', 2, 3)), { b: 2 }, 'its status is older than its size');
  t.same(step(set('b', 0), set('a', 3, 1)), { b: 1 });
  t.same(step(set('b', 1, 0), set('a', 3, 1)), {}, 'who serves nobody goes only where enough would be left');
  t.same(step(set('c', 1, 1), set('b', 2, 0, 2), set('a', 2, 2, 1)), { b: 0 }, 'but before those that serve');
  t.same(step(set('b', 5), set('a', 0)), { b: 3 });
});

t.test('from any sizes to the end, never out of bounds by its own doing', async (t) => {
  let seed = 3;
  const random = (n: number) => Math.floor(((seed = (seed * 1103515245 + 12345) % 2 ** 31) / 2 ** 31) * n);
  for (let round = 0; round < 3000; round++) {
    const replicas = random(8);
    const goal = resolveGoal(replicas, random(4), random(4));
    const sets = Array.from({ length: 1 + random(4) }, (_, i) => set(`s${i}`, random(6), 0, i));
    for (const one of sets) one.available = random(one.wanted + 1);
    const [newest, ...old] = sets as [SetSize, ...SetSize[]];
    const total = () => sets.reduce((sum, { wanted }) => sum + wanted, 0);
    const available = () => sets.reduce((sum, one) => sum + Math.min(one.available, one.wanted), 0);
    let steps = 0;
    for (; steps < 500; steps++) {
      const before = { total: total(), available: available() };
      const sizes = rollingStep(goal, newest, old);
      for (const one of sets) {
        const size = sizes.get(one.name) ?? one.wanted;
        if (size < 0) t.fail(`round ${round}: a size below nothing`);
        // A set ends first what is not available.
        one.available = Math.min(one.available, size);
        one.wanted = size;
        one.pods = size;
      }
      if (total() > Math.max(before.total, replicas + goal.maxSurge)) t.fail(`round ${round}: too many`);
      const least = Math.min(before.available, replicas - goal.maxUnavailable);
      // The newest may be too large itself: it is made smaller whatever is available.
      if (available() < least && !sizes.has(newest.name)) t.fail(`round ${round}: too few`);
      const late = sets.filter((one) => one.available < one.wanted);
      const next = late[random(late.length)];
      if (next) next.available++;
      else if (sizes.size === 0) break;
    }
    if (newest.wanted !== replicas || old.some(({ wanted }) => wanted > 0)) {
      t.fail(`round ${round}: it stands still at ${JSON.stringify(sets)}`);
    }
  }
  t.pass('3000 rollouts');
});

t.test('a new size: in proportion where several have pods', async (t) => {
  const goal = (replicas: number) => resolveGoal(replicas, 3, 2);
  const sizes = (...words: Parameters<typeof scaledSizes>) => Object.fromEntries(scaledSizes(...words));
  t.same(sizes(goal(15), set('b', 5, 0, 2, 13), [set('a', 8, 8, 1, 13)], true), { a: 11, b: 7 });
  t.same(sizes(goal(5), set('b', 5, 0, 2, 13), [set('a', 8, 8, 1, 13)], true), { a: 5, b: 3 });
  t.same(sizes(goal(0), set('b', 5, 0, 2, 13), [set('a', 8, 8, 1, 13)], true), { a: 0, b: 0 });
  t.same(sizes(goal(4), set('a', 3), [], true), { a: 4 });
  t.same(sizes(goal(4), undefined, [set('a', 0, 0, 1), set('b', 0, 0, 2)], true), { b: 4 }, 'the youngest of none');
  t.same(sizes(goal(4), set('b', 4), [set('a', 2)], true), { a: 0 }, 'nothing is left to do for the old');
});
