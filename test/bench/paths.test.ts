/** One subject on three ways: its rows are named apart, its traffic goes where the way leads. */
import t from 'tap';
import type { Contender, Path, Subject } from '../../bench/contest.ts';
import { besideDirect, onOneHost, throughService } from '../../bench/paths.ts';

const seen: Path[] = [];
const subject: Subject = {
  name: 'tcp',
  rows: [
    { name: 'tcp', title: 'TCP', unit: 'Gbit/s', better: 'higher' },
    { name: 'tcp-loss', title: 'TCP loss', unit: '%', better: 'lower' },
  ],
  seconds: 2,
  measure(path) {
    seen.push(path);
    return Promise.resolve({ values: { tcp: 1, 'tcp-loss': 2 }, bytes: 3 });
  },
};
const [client, server] = [
  { namespace: 'a', address: '10.0.0.1' },
  { namespace: 'b', address: '10.0.0.2' },
];

function path(about: Partial<Contender>): Path {
  return { client, server, address: server.address, contender: about as Contender };
}

t.beforeEach(() => {
  seen.length = 0;
});

t.test('through a service: another address, the same server', async (t) => {
  const through = throughService(subject);
  t.strictSame(
    through.rows.map((r) => [r.name, r.title]),
    [
      ['tcp/service', 'TCP, through a service'],
      ['tcp-loss/service', 'TCP loss, through a service'],
    ],
  );
  t.strictSame(await through.measure(path({ service: '10.96.0.1' })), {
    values: { 'tcp/service': 1, 'tcp-loss/service': 2 },
    bytes: 3,
  });
  t.match(seen, [{ address: '10.96.0.1', server, client }]);
});

t.test('through a service of several endpoints: a server in front of each', async (t) => {
  const another = { namespace: 'b2', address: '10.0.0.3' };
  await throughService(subject).measure(path({ service: '10.96.0.1', otherEndpoints: [another] }));
  t.match(seen, [{ server, otherServers: [another] }]);
});

t.test('a service beside the way without it: both, in turns, and their ratio', async (t) => {
  const both = besideDirect({
    ...subject,
    measure: (on) => {
      seen.push(on);
      return Promise.resolve({ values: { tcp: on.address === server.address ? 4 : 3 } });
    },
  });
  t.strictSame(
    both.rows.map((r) => r.name),
    ['tcp/service', 'tcp-loss/service', 'tcp', 'tcp-loss', 'tcp/share'],
  );
  const on = path({ service: '10.96.0.1' });
  t.match(await both.measure(on), { values: { tcp: 4, 'tcp/service': 3, 'tcp/share': 0.75 } });
  await both.measure(on);
  t.strictSame(
    seen.map((p) => p.address),
    [server.address, '10.96.0.1', '10.96.0.1', server.address],
    'neither is always the first',
  );
  t.equal(await both.measure(path({})), undefined, 'there is no share without a service');
});

t.test('on one host: another server', async (t) => {
  const local = { namespace: 'l', address: '10.0.0.3' };
  await onOneHost(subject).measure(path({ local }));
  t.match(seen, [{ address: '10.0.0.3', server: local, client }]);
});

t.test('who has no service or second pod is not measured', async (t) => {
  t.equal(await throughService(subject).measure(path({})), undefined);
  t.equal(await onOneHost(subject).measure(path({})), undefined);
  t.strictSame(seen, []);
});
