/** The annotation that kubectl and we both write: the same text for the same object. */
import t from 'tap';
import { LAST_APPLIED, lastApplied, withLastApplied } from '../../src/kube/last-applied.ts';

t.test("as kubectl's", async (t) => {
  const wanted = {
    kind: 'ConfigMap',
    apiVersion: 'v1',
    metadata: { name: 'c', namespace: 'default', annotations: { [LAST_APPLIED]: 'older' } },
    data: { b: 'x < y && "z"', a: '1' },
  };
  const applied = withLastApplied(wanted);
  t.equal(
    applied.metadata.annotations[LAST_APPLIED],
    '{"apiVersion":"v1","data":{"a":"1","b":"x \\u003c y \\u0026\\u0026 \\"z\\""},"kind":"ConfigMap",' +
      '"metadata":{"annotations":{},"name":"c","namespace":"default"}}\n',
  );
  t.same(lastApplied(applied), { ...wanted, metadata: { name: 'c', namespace: 'default', annotations: {} } });
});

t.test('what cannot be read is as if nobody had applied it', async (t) => {
  for (const text of ['', '{', '7', '[]', 'null']) {
    t.same(lastApplied({ metadata: { annotations: { [LAST_APPLIED]: text } } }), {}, text);
  }
});
