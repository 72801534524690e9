import fc from 'fast-check';
import type { LabelSelector } from 'kubernetes-types/meta/v1.js';
import t from 'tap';
import { hasLabels, selects } from '../../src/kube/selector.ts';

t.test('matchLabels and matchExpressions', async (t) => {
  const labels = { app: 'web', tier: 'front' };
  const cases: [LabelSelector | undefined, boolean][] = [
    [undefined, false],
    [{}, true],
    [{ matchLabels: { app: 'web' } }, true],
    [{ matchLabels: { app: 'web', tier: 'back' } }, false],
    [{ matchExpressions: [{ key: 'app', operator: 'In', values: ['db', 'web'] }] }, true],
    [{ matchExpressions: [{ key: 'app', operator: 'In', values: ['db'] }] }, false],
    [{ matchExpressions: [{ key: 'zone', operator: 'In', values: ['a'] }] }, false],
    [{ matchExpressions: [{ key: 'app', operator: 'NotIn', values: ['web'] }] }, false],
    [{ matchExpressions: [{ key: 'zone', operator: 'NotIn', values: ['a'] }] }, true],
    [{ matchExpressions: [{ key: 'tier', operator: 'Exists' }] }, true],
    [{ matchExpressions: [{ key: 'zone', operator: 'Exists' }] }, false],
    [{ matchExpressions: [{ key: 'zone', operator: 'DoesNotExist' }] }, true],
    [{ matchExpressions: [{ key: 'tier', operator: 'DoesNotExist' }] }, false],
    [{ matchExpressions: [{ key: 'tier', operator: 'Near' }] }, false],
    [{ matchLabels: { app: 'web' }, matchExpressions: [{ key: 'tier', operator: 'In', values: ['back'] }] }, false],
  ];
  for (const [selector, wanted] of cases) t.equal(selects(selector, labels), wanted, JSON.stringify(selector));
});

t.test('inherited names are no labels', async (t) => {
  t.notOk(selects({ matchExpressions: [{ key: 'constructor', operator: 'Exists' }] }, {}));
  t.notOk(hasLabels({ toString: 'x' }, {}));
});

t.test('In and NotIn are opposites, a label map is In of one value', async () => {
  const word = fc.constantFrom('a', 'b', 'c');
  fc.assert(
    fc.property(fc.dictionary(word, word), word, fc.array(word), (labels, key, values) => {
      const one = (operator: string) => selects({ matchExpressions: [{ key, operator, values }] }, labels);
      const wanted = Object.fromEntries(values.slice(0, 1).map((v) => [key, v]));
      const single = selects({ matchExpressions: [{ key, operator: 'In', values: values.slice(0, 1) }] }, labels);
      return one('In') !== one('NotIn') && (values.length === 0 || hasLabels(wanted, labels) === single);
    }),
    { seed: 7 },
  );
});
