/** What of a pod may change, of one too that was stored before all of its fields were filled in. */
import t from 'tap';
import type { ApiObject } from '../../../src/apiserver/api-object.ts';
import { ResourceTable } from '../../../src/apiserver/kinds/resource-table.ts';

const pods = new ResourceTable().known('', 'v1', 'pods');
const stored = (image: string) =>
  ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'one', namespace: 'default' },
    spec: { containers: [{ name: 'c', image, ports: [{ containerPort: 80 }] }] },
  }) as unknown as ApiObject;
const violations = (change: (pod: ApiObject) => void) => {
  const next = stored('nginx');
  change(next);
  pods.defaults?.(next);
  return pods.rules?.(next, stored('nginx')).map(({ message }) => message) ?? [];
};

t.test('defaults that came since are no change, an image may change, a port may not', async (t) => {
  t.same(
    violations((pod) => {
      pod.metadata.labels = { a: 'b' };
    }),
    [],
  );
  t.same(
    violations((pod) => {
      pod.spec = stored('nginx:2').spec ?? {};
    }),
    [],
  );
  const said = violations((pod) => {
    pod.spec = { containers: [{ name: 'c', image: 'nginx', ports: [{ containerPort: 81 }] }] };
  });
  t.equal(said.length, 1);
  t.match(said[0], /pod updates may not change/);
});
