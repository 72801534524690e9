/** Conditions: one of each type, with the time of its last change; whatever else stands among them. */
import t from 'tap';
import { conditionOf, withCondition, withoutCondition } from '../../../src/apiserver/controllers/conditions.ts';

t.test('set, changed, removed', async (t) => {
  const set = (status: Record<string, unknown> | undefined, value: 'True' | 'False', now: string) =>
    withCondition(status, { type: 'Ready', status: value, message: now }, now);
  const first = set({ phase: 'Running' }, 'True', 'one');
  t.same(first, {
    phase: 'Running',
    conditions: [{ type: 'Ready', status: 'True', message: 'one', lastTransitionTime: 'one' }],
  });
  const second = set(first, 'True', 'two');
  t.match(conditionOf(second, 'Ready'), { message: 'two', lastTransitionTime: 'one' });
  t.match(conditionOf(set(second, 'False', 'three'), 'Ready'), { status: 'False', lastTransitionTime: 'three' });
  t.same(withoutCondition(first, 'Ready'), { phase: 'Running', conditions: [] });
  t.equal(withoutCondition(first, 'Other'), first, 'nothing to remove');
});

t.test('what is none is as if it were not there', async (t) => {
  const known = { type: 'Ready', status: 'True' };
  t.same(conditionOf({ conditions: [null, 'x', 5, known] }, 'Ready'), known);
  for (const status of [undefined, null, 'x', { conditions: {} }, { conditions: [null] }]) {
    t.equal(conditionOf(status, 'Ready'), undefined);
  }
});
