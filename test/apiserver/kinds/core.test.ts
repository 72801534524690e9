/** Columns of the core group that say more than a field does. */
import t from 'tap';
import type { ApiObject } from '../../../src/apiserver/api-object.ts';
import { ResourceTable } from '../../../src/apiserver/kinds/resource-table.ts';

t.test('a node is ready, not ready or nobody has said: silence is no third word', async (t) => {
  const status = new ResourceTable().known('', 'v1', 'nodes').columns.find(({ name }) => name === 'Status');
  const shown = (conditions: object[], spec: object = {}) =>
    status?.cell({ apiVersion: 'v1', kind: 'Node', spec, status: { conditions } } as unknown as ApiObject);
  t.equal(shown([{ type: 'Ready', status: 'True' }]), 'Ready');
  t.equal(shown([{ type: 'Ready', status: 'False' }]), 'NotReady');
  t.equal(shown([{ type: 'Ready', status: 'Unknown' }], { unschedulable: true }), 'NotReady,SchedulingDisabled');
  t.equal(shown([]), 'Unknown');
});
