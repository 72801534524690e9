/** A model that is built with an earlier one at hand is the one that is built without it. */
import t from 'tap';
import type { ClusterModel } from '../../src/control/model.ts';
import { buildModel } from '../../src/control/model-builder.ts';
import { type KubeObject, objectSet } from '../../src/kube/objects.ts';
import { Random } from '../dataplane/random.ts';
import { endpointSlice, hosta, hostb, node, pod, SETTINGS, service } from './sample-objects.ts';

t.test('whatever changes in between', (t) => {
  const random = new Random(7);
  const objects = new Map<string, KubeObject>([
    ['a', hosta],
    ['b', hostb],
  ]);
  let before: ClusterModel | undefined;
  let kept = 0;
  for (let step = 0; step < 200; step++) {
    const i = random.below(6);
    switch (random.below(5)) {
      case 0:
        objects.set(
          `pod ${i}`,
          pod(`p${i}`, { labels: { app: `s${random.below(3)}` }, node: i % 2 ? 'hosta' : 'gone' }),
        );
        break;
      case 1:
        objects.set(
          `service ${i}`,
          service(`s${i}`, { ports: [{ port: 80 + random.below(3) }], clusterIP: '10.96.7.7' }),
        );
        break;
      case 2:
        objects.delete(`pod ${i}`);
        break;
      case 3:
        objects.set('c', node('hostc', `10.244.${3 + random.below(2)}.0/24`, '172.31.0.13'));
        break;
      default:
        objects.set(
          `slice ${i}`,
          endpointSlice(`e${i}`, `s${i}`, {
            addressType: 'IPv4',
            ports: [{ name: '', port: 8080, protocol: 'TCP' }],
            endpoints: [{ addresses: [`10.244.1.${10 + random.below(9)}`] }],
          }),
        );
    }
    const set = objectSet(objects.values());
    const model = buildModel(set, SETTINGS, before);
    t.same(model, buildModel(set, SETTINGS), `step ${step}`);
    if (before?.pods === model.pods) kept++;
    before = model;
  }
  t.ok(kept > 40, `pods and nodes were kept ${kept} times`);
  const settings = { ...SETTINGS, clusterCidr: '10.244.0.0/17,fd00:10:244::/56' };
  const set = objectSet(objects.values());
  t.same(buildModel(set, settings, before), buildModel(set, settings), 'other settings');
  t.end();
});
