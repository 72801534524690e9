/** Two API servers on one etcd give out one range at the same time. */
import t from 'tap';
import { EtcdStore } from '../../src/apiserver/store/etcd-store.ts';
import { clusterRanges, completeSettings } from '../../src/control/cluster-settings.ts';
import { EtcdCluster, missingEtcd } from './store/etcd-cluster.ts';
import { TestServer } from './test-server.ts';

const SERVICES = '/api/v1/namespaces/default/services';
const COUNT = 240;

t.test('nothing is given twice', { skip: missingEtcd }, async (t) => {
  const etcd = await EtcdCluster.start(t, 1);
  const settings = { serviceCidr: '10.96.0.0/24', nodePortRange: '31000-31299' };
  const ranges = clusterRanges(completeSettings(settings));
  const servers = await Promise.all(
    [0, 1].map(async () => {
      const store = new EtcdStore({ endpoints: etcd.endpoints });
      const server = await TestServer.start(t, false, { store, ranges });
      t.teardown(() => store.close());
      return server;
    }),
  );
  const create = (i: number) =>
    (servers[i % 2] as TestServer).ask('POST', SERVICES, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: `s${i}` },
      spec: { type: 'NodePort', ports: [{ port: 80 }] },
    });
  const answers = await Promise.all(Array.from({ length: COUNT }, (_, i) => create(i)));
  t.same(new Set(answers.map(({ code }) => code)), new Set([201]));
  const specs = answers.map(({ body }) => body.spec);
  t.equal(new Set(specs.map(({ clusterIP }) => clusterIP)).size, COUNT);
  t.equal(new Set(specs.map(({ ports }) => ports[0].nodePort)).size, COUNT);
});
