/** End to end, in network namespaces: names as pods look them up, with the resolver of the system and with dig. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import type { Explanation } from '../../src/dns/explain.ts';
import type { QueryLogEntry } from '../../src/dns/query-log.ts';
import { noLab, ownHome, TestLab, until, without } from './test-lab.ts';

/** The lab's router, where the fake resolver of the outside listens: it knows `host.example`. */
const RESOLVER = '172.31.0.1';
const WORLD = '198.51.100.7';

t.test('names', { skip: noLab() || without('dig', 'getent'), timeout: 200_000 }, async (t) => {
  ownHome();
  process.env.WEFT_DNS_LOG = '500';
  const lab = await TestLab.up({ name: 'names', hosts: 2 });
  lab.background(['node', fileURLToPath(new URL('./fake-resolver.js', import.meta.url)), RESOLVER]);
  const dig = (...words: string[]) => lab.must('client-0', ['dig', '+time=3', '+tries=1', ...words]);
  const log = async () =>
    JSON.parse(await lab.must('hosta', ['weft', 'dns', 'log', 'client-0', '-o', 'json'])) as QueryLogEntry[];

  t.test('the host’s resolvers change while the agent runs', async (t) => {
    writeFileSync(lab.lab.resolvConf('hosta'), `search corp.example\nnameserver ${RESOLVER}\n`);
    await until('the new one is asked', 15_000, async () => (await dig('+short', 'host.example')).trim() === WORLD);
    const { hosts } = await lab.status();
    t.equal(hosts[0]?.starts, 1, 'by the same agent');
    t.equal(hosts[0]?.status?.counters.dns[`upstreams.${RESOLVER}:53.out`], 0);
  });

  t.test('a running pod’s resolv.conf follows the host’s file and its own dnsConfig', async (t) => {
    const file = () => lab.must('client-0', ['cat', '/etc/resolv.conf']);
    t.match(await file(), /^search default\.svc\.cluster\.local svc\.cluster\.local cluster\.local corp\.example$/m);
    const pod = (dnsConfig: object) =>
      lab.manifest(
        'named.json',
        JSON.stringify({
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name: 'named', namespace: 'default' },
          spec: {
            nodeName: 'hosta',
            dnsConfig,
            containers: [{ name: 'main', image: 'none', command: ['sleep', 'infinity'] }],
          },
        }),
      );
    // Until it is there, there is none of its name.
    const conf = async () => {
      try {
        return await lab.must('named', ['cat', '/etc/resolv.conf']);
      } catch {
        return '';
      }
    };
    // 0 while it is about to start.
    const running = async () => {
      const { hosts } = await lab.status();
      return hosts[0]?.status?.pods.find((each) => each.name === 'named')?.containers[0]?.pid ?? 0;
    };
    pod({ options: [{ name: 'ndots', value: '2' }] });
    await until('it runs', 20_000, async () => /options ndots:2$/m.test(await conf()));
    await until('by its process', 20_000, async () => (await running()) > 0);
    const before = await running();
    pod({ searches: ['more.example'], options: [{ name: 'edns0' }] });
    await until('it is rewritten', 15_000, async () =>
      /corp\.example more\.example\n[\s\S]*options ndots:5 edns0$/m.test(await conf()),
    );
    t.equal(await running(), before, 'and the container goes on');
    pod({ nameservers: ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4'] });
    await until('what does not fit is told', 15_000, async () => {
      const { hosts } = await lab.status();
      const told = hosts[0]?.status?.problems.map((problem) => problem.message) ?? [];
      return (
        told.some((message) => /Pod default\/named: .*more than 3 name servers: left out/.test(message)) ||
        told.join('; ')
      );
    });
  });

  t.test('ndots:5 costs the system’s resolver one question', async (t) => {
    const before = (await log()).length;
    t.match(await lab.must('client-0', ['getent', 'ahostsv4', 'host.example']), new RegExp(`^${WORLD} `));
    const asked = (await log()).slice(before);
    t.strictSame(
      asked.map((entry) => [entry.name, entry.type, entry.search?.step]),
      [['host.example.default.svc.cluster.local', 'A', 1]],
    );
    t.match(asked[0]?.completion?.at(-1), { name: 'host.example', result: 'NOERROR' });
    t.match(
      await lab.must('client-0', ['getent', 'ahostsv4', 'web']),
      new RegExp(`^${await lab.serviceAddress('web')} `),
    );
    t.equal(
      (await lab.run('client-0', ['getent', 'ahosts', 'nothing.example'])).code,
      2,
      'what is nowhere is not found',
    );
  });

  t.test('explained', async (t) => {
    const explain = (...words: string[]) => lab.run('hosta', ['weft', 'dns', 'explain', 'client-0', ...words]);
    const { stdout, code } = await explain('host.example', '-o', 'json');
    t.equal(code, 0);
    const told = JSON.parse(stdout) as Explanation;
    t.match(told, { pod: 'default/client-0', ndots: 5, asksUs: true, completed: true });
    t.strictSame(
      told.tries.map((each) => each.name),
      [...told.search.map((suffix) => `host.example.${suffix}`), 'host.example'],
    );
    t.match((await explain('web')).stdout, /Found by the first question/);
    t.equal((await explain('nothing.example')).code, 1);
    t.equal((await lab.run('hosta', ['weft', 'dns', 'explain', 'nobody', 'web'])).code, 1);
    t.match(await lab.must('hosta', ['weft', 'dns', 'log', 'client-0']), /1 of \d for host\.example, then/);
  });

  t.test('dig: the cache, sizes, transfers, many questions on one connection', async (t) => {
    const ttl = async () => Number(/^host\.example\.\s+(\d+)/m.exec(await dig('host.example'))?.[1]);
    const first = await ttl();
    t.ok(first > 0 && first <= 60, `a TTL of ${first}`);
    t.match(await lab.must('hosta', ['weft', 'status']), /names +\d+ questions; cache [1-9]\d* hits/);
    const web = 'web.default.svc.cluster.local';
    const address = await lab.serviceAddress('web');
    t.equal(await dig('+short', '+tcp', '+keepopen', web, web, web), `${address}\n`.repeat(3));
    t.match(await dig('cluster.local', 'AXFR').catch((error: unknown) => String(error)), /Transfer failed/);
    const client = await lab.address('client-0');
    t.equal(await dig('+short', '-x', client), `${client.replaceAll('.', '-')}.default.pod.cluster.local.\n`);
    t.match(await dig('+bufsize=4096', web), /EDNS: version: 0, flags:; udp: 1232/);
    t.match(await dig('nothing.default.svc.cluster.local'), /status: NXDOMAIN[\s\S]*SOA\tns\.dns\.cluster\.local\./);
  });
});
