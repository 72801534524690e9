/** What apply sends: fields that are wanted come, fields that were applied before and are not wanted go, others stay. */
import fc from 'fast-check';
import t from 'tap';
import type { Resource } from '../../src/apiserver/kinds/resource.ts';
import { applyPatch, PATCH_TYPES } from '../../src/apiserver/rest/patch.ts';
import { threeWayPatch } from '../../src/kube/three-way-patch.ts';

type Json = Record<string, unknown>;

const RULES = {
  mergeKeys: { ports: 'port', 'ports.flags': '', 'spec.items': 'name', forms: 'name' },
  retainKeys: ['form', 'forms'],
};
const resource = RULES as unknown as Resource;

function apply(last: Json, wanted: Json, current: Json): Json {
  const patch = threeWayPatch(last, wanted, current, RULES);
  return applyPatch(PATCH_TYPES.strategic, current, patch, resource);
}

t.test('what others wrote stays, what was applied before and is not wanted goes', async (t) => {
  const current = { a: 1, b: 2, c: 3, deep: { x: 1, y: 2, theirs: 3 } };
  t.same(apply({ a: 1, b: 2, deep: { x: 1, y: 2 } }, { a: 9, deep: { x: 1 } }, current), {
    a: 9,
    c: 3,
    deep: { x: 1, theirs: 3 },
  });
  t.same(threeWayPatch({ a: 1 }, { a: 1 }, current), {}, 'nothing to do, nothing sent');
});

t.test('members of lists are told apart by their names', async (t) => {
  const last = { ports: [{ port: 80 }, { port: 81 }] };
  const current = { ports: [{ port: 80, nodePort: 30080 }, { port: 81, nodePort: 30081 }, { port: 99 }] };
  t.same(apply(last, { ports: [{ port: 82 }, { port: 80, name: 'http' }] }, current), {
    ports: [{ port: 82 }, { port: 80, nodePort: 30080, name: 'http' }, { port: 99 }],
  });
  t.same(threeWayPatch({}, { ports: [{ port: 80 }] }, current, RULES), {});
  t.same(
    threeWayPatch(last, { ports: [{ port: 80 }] }, { ports: [{ port: 80 }] }),
    {},
    'without names it is one value',
  );
});

t.test('an order alone is a difference', async (t) => {
  const ports = (...numbers: number[]) => ({ ports: numbers.map((port) => ({ port })) });
  t.same(apply(ports(1, 2), ports(2, 1), ports(1, 9, 2)), ports(2, 1, 9));
  t.same(threeWayPatch({}, ports(2, 1), ports(9, 2, 8, 1), RULES), {}, 'what others put between is none');
});

t.test('of forms that exclude each other the one that is not wanted goes, whoever wrote it', async (t) => {
  const filled = { form: { type: 'Rolling', rolling: { step: 1 } } };
  t.same(apply({}, { form: { type: 'At once' } }, filled), { form: { type: 'At once' } });
  t.same(threeWayPatch({}, { form: { type: 'Rolling' } }, filled, RULES), {});
  const forms = (form: object) => ({ forms: [{ name: 'a', ...form }] });
  t.same(apply(forms({ tcp: {} }), forms({ udp: {} }), forms({ tcp: {}, keepAlive: true })), forms({ udp: {} }));
});

t.test('two members of one name make the list one thing', async (t) => {
  const dns = {
    ports: [
      { port: 53, protocol: 'UDP' },
      { port: 53, protocol: 'TCP' },
    ],
  };
  t.same(apply({}, dns, {}), dns);
  const filled = { ports: dns.ports.map((port) => ({ ...port, targetPort: 53 })) };
  t.same(threeWayPatch({}, dns, filled, RULES), {}, 'what the server filled in is no difference');
  const more = { ports: [...dns.ports, { port: 54 }] };
  t.same(apply(dns, more, filled), more);
});

t.test('lists of plain values', async (t) => {
  const list = (...flags: string[]) => ({ ports: [{ port: 1, flags }] });
  t.same(apply(list('a', 'b'), list('a', 'c'), list('b', 'a', 'theirs')), list('a', 'theirs', 'c'));
});

t.test('any three versions: one application is enough, and does what it is for', async () => {
  const leaf = fc.oneof(
    fc.integer({ min: 0, max: 3 }),
    fc.constantFrom('a', 'b'),
    fc.array(fc.integer(), { maxLength: 2 }),
  );
  const item = fc.record({ name: fc.constantFrom('p', 'q', 'r'), v: leaf }, { requiredKeys: ['name'] });
  const items = fc.uniqueArray(item, { selector: ({ name }) => name, maxLength: 3 });
  const map = fc.dictionary(fc.constantFrom('a', 'b', '__proto__', 'constructor'), leaf, { maxKeys: 3 });
  const version = fc.record({ spec: fc.record({ items, map, x: leaf }, { requiredKeys: [] }) }, { requiredKeys: [] });
  fc.assert(
    fc.property(version, version, version, (last, wanted, current) => {
      const result = apply(last, wanted, structuredClone(current));
      const again = threeWayPatch(last, wanted, result, RULES);
      if (Object.keys(again).length > 0) throw new Error(`not done: ${JSON.stringify({ result, again })}`);
      const spec = (o: Json) => (o.spec ?? {}) as Json;
      if ('x' in spec(last) && !('x' in spec(wanted)) && 'spec' in wanted && 'x' in spec(result)) {
        throw new Error('what was given up is still there');
      }
      if (
        !('x' in spec(last)) &&
        !('x' in spec(wanted)) &&
        JSON.stringify(spec(result).x) !== JSON.stringify(spec(current).x)
      ) {
        if ('spec' in wanted || !('spec' in last)) throw new Error('what is theirs was changed');
      }
    }),
    { numRuns: 2000, seed: 7 },
  );
});
