/** Whether a lab may join an etcd: one that answers, and where nobody else lives. */
import t from 'tap';
import { EtcdStore } from '../../src/apiserver/store/etcd-store.ts';
import { checkGivenEtcd, labPrefix } from '../../src/lab/given-etcd.ts';
import { EtcdCluster, missingEtcd } from '../apiserver/store/etcd-cluster.ts';
import { put } from '../apiserver/store/store-suite.ts';

t.test('one that does not answer: which member, and why', async (t) => {
  const endpoints = ['http://127.0.0.1:9', 'http://nowhere.invalid:2379'];
  await t.rejects(
    checkGivenEtcd({ endpoints }, () => {}),
    {
      code: 'WEFT_LAB_SYSTEM',
      message: 'etcd does not answer: http://127.0.0.1:9: connect ECONNREFUSED 127.0.0.1:9',
      details: [/^http:\/\/nowhere\.invalid:2379: Name resolution failed/],
    },
  );
});

t.test('one that does', { skip: missingEtcd, timeout: 60_000 }, async (t) => {
  const { endpoints } = await EtcdCluster.start(t, 1);
  const prefix = labPrefix('a');
  const store = new EtcdStore({ endpoints, prefix });
  t.teardown(() => store.close());
  const steps: string[] = [];
  const check = () =>
    checkGivenEtcd({ endpoints: ['http://127.0.0.1:9', ...endpoints], prefix }, (step) => steps.push(step));
  const lease = '/registry/coordination.k8s.io/leases/kube-node-lease/hosta';
  const renew = (value: string) => store.commit({ conditions: [], writes: [put(lease, value)] });
  await check();
  t.match(steps, [/^etcd goes without http:\/\/127\.0\.0\.1:9: connect ECONNREFUSED/]);
  await renew('1');
  await check();
  t.pass('a lab that was taken down left it');
  const beats = setInterval(() => void renew('2'), 500);
  t.teardown(() => clearInterval(beats));
  await t.rejects(check(), { code: 'WEFT_LAB_EXISTS', message: /\/a is in use: node hosta renews its Lease there/ });
  clearInterval(beats);
  const namespace = '/registry/namespaces/default';
  await store.commit({ conditions: [], writes: [put(namespace, 'k8s\0…')] });
  await t.rejects(check(), { code: 'WEFT_LAB_EXISTS', message: /holds the objects of another Kubernetes API server/ });
});
