/** The three kinds of patches, as kubectl sends them, and what is no patch. */
import fc from 'fast-check';
import t from 'tap';
import { APPS } from '../../../src/apiserver/kinds/apps.ts';
import { CORE } from '../../../src/apiserver/kinds/core.ts';
import type { Resource } from '../../../src/apiserver/kinds/resource.ts';
import { applyPatch, PATCH_TYPES } from '../../../src/apiserver/rest/patch.ts';

const service = CORE.find(({ kind }) => kind === 'Service') as Resource;
const deployment = APPS.find(({ kind }) => kind === 'Deployment') as Resource;
const strategic = (target: Record<string, unknown>, patch: unknown, resource = service) =>
  applyPatch(PATCH_TYPES.strategic, target, patch, resource);
const ports = (...list: unknown[]) => ({ spec: { ports: list } });

t.test('a strategic merge knows lists by their keys', async (t) => {
  const target = ports({ name: 'a', port: 80 }, { name: 'b', port: 81 });
  t.same(strategic(target, ports({ port: 81, name: 'c' })), ports({ name: 'a', port: 80 }, { name: 'c', port: 81 }));
  t.same(target, ports({ name: 'a', port: 80 }, { name: 'b', port: 81 }), 'the target is left alone');
  t.same(strategic(target, ports({ port: 82 })), ports({ name: 'a', port: 80 }, { name: 'b', port: 81 }, { port: 82 }));
  t.same(strategic(target, ports({ port: 80, $patch: 'delete' })), ports({ name: 'b', port: 81 }));
  t.same(strategic(target, ports({ $patch: 'replace' }, { port: 1 })), ports({ port: 1 }));
  t.same(strategic(target, ports({ port: 80, name: null })), ports({ port: 80 }, { name: 'b', port: 81 }));
  t.throws(() => strategic(target, ports({ name: 'x' })), { name: 'ApiError', message: /merge key: port/ });
  t.throws(() => strategic(target, ports('x')), { name: 'ApiError' });
});

t.test('orders, replacements, retained keys', async (t) => {
  const ordered = strategic(ports({ port: 1 }, { port: 2 }), {
    spec: { '$setElementOrder/ports': [{ port: 3 }, { port: 2 }, { port: 1 }], ports: [{ port: 3 }] },
  });
  t.same(ordered, ports({ port: 3 }, { port: 2 }, { port: 1 }));
  const alone = strategic(ports({ port: 1 }, { port: 2 }), {
    spec: { '$setElementOrder/ports': [{ port: 2 }, { port: 1 }] },
  });
  t.same(alone, ports({ port: 2 }, { port: 1 }));
  const selector = { spec: { selector: { a: '1', b: '2' } } };
  t.same(strategic(selector, { spec: { selector: { $patch: 'replace', c: '3' } } }), {
    spec: { selector: { c: '3' } },
  });
  const strategy = { spec: { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 } } } };
  const recreate = { spec: { strategy: { $retainKeys: ['type'], type: 'Recreate' } } };
  t.same(strategic(strategy, recreate, deployment), { spec: { strategy: { type: 'Recreate' } } });
});

t.test('nested lists of a pod template', async (t) => {
  const template = (containers: unknown) => ({ spec: { template: { spec: { containers } } } });
  const target = template([
    { name: 'a', image: 'x', env: [{ name: 'E', value: '1' }] },
    { name: 'b', image: 'y' },
  ]);
  const patch = template([
    { name: 'a', env: [{ name: 'F', value: '2' }] },
    { name: 'b', $patch: 'delete' },
  ]);
  t.same(
    strategic(target, patch, deployment),
    template([
      {
        name: 'a',
        image: 'x',
        env: [
          { name: 'E', value: '1' },
          { name: 'F', value: '2' },
        ],
      },
    ]),
  );
});

t.test('taints and tolerations are one thing; finalizers and owners of any kind are merged', async (t) => {
  const node = CORE.find(({ kind }) => kind === 'Node') as Resource;
  const taint = (key: string, effect = 'NoSchedule') => ({ key, effect });
  const tainted = { spec: { taints: [taint('a'), taint('b')] } };
  t.same(strategic(tainted, { spec: { taints: [taint('b')] } }, node), { spec: { taints: [taint('b')] } });
  const tolerates = (...tolerations: object[]) => ({ spec: { template: { spec: { tolerations } } } });
  for (const wanted of [[{ operator: 'Exists' }], [taint('a'), taint('a', 'NoExecute')]]) {
    t.same(strategic(tolerates(taint('a')), tolerates(...wanted), deployment), tolerates(...wanted));
  }
  const owner = (uid: string) => ({ uid, name: uid });
  const held = { metadata: { finalizers: ['a/a', 'b/b'], ownerReferences: [owner('1')] } };
  const patch = { metadata: { finalizers: ['c/c'], ownerReferences: [owner('2')] } };
  t.same(strategic(held, patch), {
    metadata: { finalizers: ['a/a', 'b/b', 'c/c'], ownerReferences: [owner('1'), owner('2')] },
  });
  const less = { metadata: { '$deleteFromPrimitiveList/finalizers': ['a/a'] } };
  t.same((strategic(held, less) as typeof held).metadata.finalizers, ['b/b']);
});

t.test('merge patch (RFC 7396, appendix A)', async (t) => {
  const merge = (target: Record<string, unknown>, patch: unknown) =>
    applyPatch(PATCH_TYPES.merge, target, patch, service);
  t.same(merge({ a: 'b' }, { a: 'c' }), { a: 'c' });
  t.same(merge({ a: 'b', b: 'c' }, { a: null }), { b: 'c' });
  t.same(merge({ a: ['b'] }, { a: 'c' }), { a: 'c' });
  t.same(merge({ a: { b: 'c' } }, { a: { b: 'd', c: null } }), { a: { b: 'd' } });
  t.same(merge({ a: [{ b: 'c' }] }, { a: [1] }), { a: [1] });
  t.same(merge({}, { a: { bb: { ccc: null } } }), { a: { bb: {} } });
  t.throws(() => merge({}, []), { name: 'ApiError' });
});

t.test('JSON patch', async (t) => {
  const json = (target: Record<string, unknown>, patch: unknown) =>
    applyPatch(PATCH_TYPES.json, target, patch, service);
  t.same(
    json({ a: 1 }, [
      { op: 'replace', path: '/a', value: 2 },
      { op: 'add', path: '/b', value: [] },
    ]),
    { a: 2, b: [] },
  );
  t.throws(() => json({ a: 1 }, [{ op: 'test', path: '/a', value: 2 }]), { name: 'ApiError' });
  t.throws(() => json({ a: 1 }, [{ op: 'remove', path: '/none/x' }]), { name: 'ApiError' });
  t.throws(() => json({ a: 1 }, { op: 'add' }), { name: 'ApiError' });
  t.throws(() => json({ a: 1 }, [{ op: 'replace', path: '', value: null }]), { message: 'the patch leaves no object' });
  const nested = Array.from({ length: 8 }, (_, i) => ({ op: 'copy', from: '', path: `/${'a/'.repeat(2 ** i - 1)}a` }));
  t.throws(() => json({}, nested), { reason: 'BadRequest', message: /nested more than 200 deep/ }, 'as deep as a body');
});

t.test('other types are refused by name', async (t) => {
  t.throws(() => applyPatch('application/apply-patch+yaml', {}, {}, service), {
    name: 'ApiError',
    message: /server-side apply is not served/,
  });
});

t.test('no patch reaches what is not in the object', async (t) => {
  const hostile = JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}');
  for (const type of [PATCH_TYPES.merge, PATCH_TYPES.strategic]) applyPatch(type, {}, hostile, service);
  try {
    applyPatch(PATCH_TYPES.json, {}, [{ op: 'add', path: '/__proto__/polluted', value: 1 }], service);
  } catch {
    // Refused: as well.
  }
  t.equal(({} as { polluted?: number }).polluted, undefined);
  let deep: unknown = { port: 1 };
  for (let i = 0; i < 5000; i++) deep = { a: deep };
  t.throws(() => applyPatch(PATCH_TYPES.merge, {}, deep, service), { name: 'ApiError' });
});

t.test('any JSON as a patch: an object or an ApiError, never anything else', async (t) => {
  const key = fc.constantFrom(
    'spec',
    'ports',
    'port',
    '$patch',
    '$setElementOrder/ports',
    '$retainKeys',
    '$deleteFromPrimitiveList/ports',
    'a',
  );
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof({ depthSize: 'small' }, fc.constantFrom(null, 1, 'delete', 'replace', 80), tie('list'), tie('map')),
    list: fc.array(tie('value'), { maxLength: 3 }),
    map: fc.dictionary(key, tie('value'), { maxKeys: 4 }),
  }));
  const property = fc.property(value, value, (target, patch) => {
    for (const type of Object.values(PATCH_TYPES)) {
      try {
        applyPatch(type, { spec: target }, patch, service);
      } catch (error) {
        if ((error as Error).name !== 'ApiError') throw error;
      }
    }
  });
  fc.assert(property, { numRuns: 3000, seed: 7 });
  t.pass('3000 of each kind');
});
