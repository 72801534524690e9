/** The cluster bench in a small form: 50 nodes follow one API server, and see every change soon, on both stores. */
import t from 'tap';
import { runApi } from '../../bench/cluster/api-run.ts';
import { compileTimes } from '../../bench/cluster/compile-time.ts';
import { missingEtcd } from '../apiserver/store/etcd-cluster.ts';

const SIZE = { nodes: 50, pods: 1000, services: 200 };
/** All nodes have seen a change of one endpoint. */
const SEEN_MS = 2000;
/** A node whose Lease is not renewed for so long is Unknown. */
const LEASE_MS = 4000;

for (const store of ['lmdb', 'etcd'] as const) {
  t.test(`on ${store}`, { skip: store === 'etcd' && missingEtcd, timeout: 240_000 }, async (t) => {
    const figures = await runApi({ size: SIZE, store, changes: 50, say: (line) => t.comment(line) });
    const { cold, changed, churn, faults } = figures;
    t.same(faults, []);
    t.equal(cold.synced.count, SIZE.nodes);
    t.ok(cold.sentBytes < cold.listedBytes / 4, 'lists are compressed');
    t.equal(changed.seen.count, SIZE.nodes * 50, 'every node saw every change');
    t.ok(changed.seenByAll.p99 < SEEN_MS, `seen by all after ${changed.seenByAll.p99} ms`);
    t.ok(changed.longestGapMs < LEASE_MS, `a Lease was renewed after ${changed.longestGapMs} ms`);
    t.ok(churn.eventsPerSecond > 500, `${churn.eventsPerSecond} events a second`);
  });
}

t.test('a change of one endpoint costs less than the first model and its tables', (t) => {
  const { first, change } = compileTimes({ nodes: 100, pods: 5000, services: 1000 });
  t.ok(change.model.p50 + change.tables.p50 < (first.model + first.tables) / 2, JSON.stringify({ first, change }));
  t.end();
});
