/**
 * End to end, in network namespaces: names that the dataplane answers, asked with dig in a pod: the same as the server's
 * answers, in both families, and never older than the cluster.
 */
import t from 'tap';
import { noLab, ownHome, TestLab, until, without } from './test-lab.ts';

const NAME = 'moved.default.svc.cluster.local';

function serviceText(clusterIP: string): string {
  const ports = [{ name: 'http', port: 80 }];
  const metadata = { name: 'moved', namespace: 'default' };
  return JSON.stringify({ apiVersion: 'v1', kind: 'Service', metadata, spec: { clusterIP, ports } });
}

t.test('names from the dataplane', { skip: noLab() || without('dig', 'getent'), timeout: 120_000 }, async (t) => {
  ownHome();
  const lab = await TestLab.up({ name: 'direct', hosts: 1 });
  const hits = async () => {
    const { hosts } = await lab.status();
    return hosts[0]?.status?.counters.dns['ready.hits'] ?? 0;
  };
  // Without a cookie, which only the server reads.
  const dig = (...words: string[]) => lab.must('client-0', ['dig', '+nocookie', '+time=3', '+tries=1', ...words]);
  const servers = (await lab.must('client-0', ['cat', '/etc/resolv.conf'])).match(/(?<=^nameserver ).*$/gm) ?? [];
  const address = await lab.serviceAddress('web');
  const web = 'web.default.svc.cluster.local';

  t.ok(servers.length > 0, `the pod asks ${servers.join(', ')}`);
  for (const server of servers) {
    t.test(`asked at ${server}`, async (t) => {
      for (const words of [
        ['A', web],
        ['AAAA', web],
        ['SRV', web],
        ['-x', address],
        ['A', web, '+noedns'],
        ['A', 'WEB.default.svc.Cluster.local'],
      ]) {
        const ask = async () => (await dig(`@${server}`, ...words)).replace(/^;; (Query time|WHEN).*$|id: \d+/gm, '');
        const first = await ask();
        const before = await hits();
        await until('the dataplane answers', 5000, async () => {
          t.equal(await ask(), first, `${words.join(' ')}: the same to the letter`);
          return (await hits()) > before;
        });
      }
    });
  }

  t.test('what the server alone can do, it does', async (t) => {
    const before = await hits();
    t.equal((await dig('+short', '+tcp', web)).trim(), address);
    t.equal((await dig('+short', '+cookie', web)).trim(), address);
    t.match(await dig('nothing.default.svc.cluster.local'), /status: NXDOMAIN/);
    t.equal(await hits(), before);
    t.match(
      await lab.must('hosta', ['dig', '+short', `@${servers[0]}`, web]),
      new RegExp(`^${address}\n`),
      'on the host',
    );
    t.match(await lab.must('client-0', ['getent', 'ahostsv4', 'web']), new RegExp(`^${address} `));
  });

  t.test('a change is seen at once, and nothing older after it', async (t) => {
    for (const last of [41, 42, 43, 44]) {
      const wanted = `10.96.77.${last}`;
      lab.manifest('moved.json', serviceText(wanted));
      await until('the new address is answered', 10_000, async () => (await dig('+short', NAME)).trim() === wanted);
      const before = await hits();
      await until('by the dataplane', 5000, async () => {
        t.equal((await dig('+short', NAME)).trim(), wanted);
        return (await hits()) > before;
      });
    }
    lab.manifest('moved.json', undefined);
    await until('it is gone', 10_000, async () => (await dig('+short', NAME)).trim() === '');
    const { hosts } = await lab.status();
    t.ok((hosts[0]?.status?.counters.dns['answers.NOERROR'] ?? 0) >= (await hits()), 'counted with all others');
  });
});
