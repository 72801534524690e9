/** A member of etcd that has lost the others: who watches through it is told, and asks elsewhere. */
import t from 'tap';
import { EtcdStore } from '../../../src/apiserver/store/etcd-store.ts';
import { EtcdCluster, missingEtcd } from './etcd-cluster.ts';
import { Listener, put } from './store-suite.ts';

t.test('its watches end', { skip: missingEtcd, timeout: 100_000 }, async (t) => {
  const cluster = await EtcdCluster.start(t, 3);
  const [endpoint = ''] = cluster.endpoints;
  const store = new EtcdStore({ endpoints: [endpoint] });
  t.teardown(() => store.close());
  const listener = new Listener(store, '/cut/', 1);
  t.teardown(() => listener.close());
  await store.commit({ conditions: [], writes: [put('/cut/a', '1')] });
  await listener.until(() => listener.heard.length === 1);
  const ended = async (): Promise<number> => {
    const text = await (await fetch(`${endpoint}/metrics`)).text();
    const counted = /grpc_server_handled_total\{grpc_code="Unavailable",grpc_method="Watch".*\} (\d+)/.exec(text);
    return Number(counted?.[1] ?? 0);
  };
  t.equal(await ended(), 0);
  await Promise.all([cluster.killMember(1), cluster.killMember(2)]);
  let seen = 0;
  await listener.until(() => {
    void ended().then((count) => {
      seen = count;
    });
    return seen > 0;
  }, 30);
  t.ok(seen > 0, 'etcd has ended one for want of a leader');
  await Promise.all([cluster.startMember(1), cluster.startMember(2)]);
  await store.commit({ conditions: [], writes: [put('/cut/a', '2')] });
  await listener.until(() => listener.heard.length === 2);
  t.same(listener.heard, ['put /cut/a=1 v1', 'put /cut/a=2 v2'], 'and it goes on where it was');
});
