/** Selectors of queries: what they select, and that none takes long to read. */
import t from 'tap';
import type { ApiObject } from '../../../src/apiserver/api-object.ts';
import { ResourceTable } from '../../../src/apiserver/kinds/resource-table.ts';
import { fieldMatcher, labelMatcher } from '../../../src/apiserver/kinds/selectors.ts';

const table = new ResourceTable();
const labelled = (labels: Record<string, string>) => ({ metadata: { labels } }) as unknown as ApiObject;

t.test('labels', async (t) => {
  const one = labelled({ app: 'web', 'example.com/tier': 'front', n: '7' });
  for (const [text, expected] of [
    ['app=web', true],
    [' app == web ', true],
    ['app!=web', false],
    ['other!=web', true],
    ['app in (api, web),n', true],
    ['app  notin(web)', false],
    ['!app', false],
    ['! other, example.com/tier', true],
    ['n > 6,n<8', true],
    ['app=', false],
  ] as const) {
    t.equal(labelMatcher(text)(one), expected, text);
  }
  for (const text of ['a=b,', 'a b', '!a=b', 'a in b', 'n>x', '=a', 'a=b c']) {
    t.throws(() => labelMatcher(text), { name: 'ApiError' }, text);
  }
});

t.test('fields: what is left out of a switch is off', async (t) => {
  const nodes = table.known('', 'v1', 'nodes');
  const node = (spec: object) => ({ metadata: { name: 'a' }, spec }) as unknown as ApiObject;
  const isOn = fieldMatcher('spec.unschedulable=false', nodes);
  t.same([isOn(node({})), isOn(node({ unschedulable: true }))], [true, false]);
  const events = table.known('', 'v1', 'events');
  const event = { metadata: { name: 'e' }, source: { component: 'scheduler' } } as unknown as ApiObject;
  t.ok(fieldMatcher('source=scheduler, metadata.name != f', events)(event));
  for (const text of ['constructor=a', 'spec.color=x']) {
    t.throws(() => fieldMatcher(text, nodes), { message: /field label not supported/ }, text);
  }
  t.throws(() => fieldMatcher('metadata.name', nodes), { message: /invalid selector/ });
});

t.test('no text of ten thousand characters takes long', async (t) => {
  const pods = table.known('', 'v1', 'pods');
  const spaces = ' '.repeat(4500);
  const begun = performance.now();
  for (const text of [
    `${spaces}!`,
    `a${spaces}!`,
    `a=${spaces}!`,
    `a${spaces}in${spaces}(`,
    `a=b${spaces}c${spaces}`,
  ]) {
    t.throws(() => labelMatcher(text), { name: 'ApiError' });
  }
  for (const text of [`${spaces}!`, `metadata.name${spaces}!`]) t.throws(() => fieldMatcher(text, pods));
  fieldMatcher(`metadata.name=${spaces}a${spaces}b`, pods);
  t.ok(performance.now() - begun < 100, `${performance.now() - begun} ms`);
});
