/** Session affinity: sliding time, its bound, endpoints that leave. */
import t from 'tap';
import { ClientAffinity } from '../../src/relay/client-affinity.ts';

t.test('each use begins the time anew', async (t) => {
  const affinity = new ClientAffinity(10);
  affinity.set('a', 'one', 0);
  t.equal(affinity.use('a', 9_000), 'one');
  t.equal(affinity.use('a', 18_000), 'one', 'nine seconds after the last use');
  t.equal(affinity.use('a', 28_000), undefined, 'ten seconds after it');
  t.equal(affinity.use('a', 28_001), undefined, 'and forgotten');
  t.equal(affinity.size, 0);
});

t.test('an endpoint is forgotten when it fails or leaves, unless the client has another by then', async (t) => {
  const affinity = new ClientAffinity(10);
  affinity.set('a', 'one', 0);
  affinity.set('b', 'two', 0);
  affinity.forget('a', 'two');
  t.equal(affinity.use('a', 1), 'one');
  affinity.forget('a', 'one');
  t.equal(affinity.use('a', 1), undefined);
  affinity.keep((endpoint) => endpoint !== 'two');
  t.equal(affinity.use('b', 1), undefined);
});

t.test('bounded: who was away longest goes first, whose time is over before that', async (t) => {
  const affinity = new ClientAffinity(10, 3);
  for (const [i, client] of ['a', 'b', 'c'].entries()) affinity.set(client, 'one', i);
  affinity.use('a', 10);
  affinity.set('d', 'one', 11);
  t.equal(affinity.size, 3);
  t.equal(affinity.use('b', 12), undefined, 'b was away longest');
  t.equal(affinity.use('a', 12), 'one');
  affinity.set('e', 'one', 10_011);
  t.equal(affinity.size, 2, 'c and d are over');
  for (let i = 0; i < 1000; i++) affinity.set(`client ${i}`, 'one', 20_000);
  t.equal(affinity.size, 3);
});
