/** Names completed on the server for pods by their own search paths; the log and the explanation of it. */
import t, { type Test } from 'tap';
import { TYPE } from '../../src/dns/codes.ts';
import type { DnsServer, DnsServerOptions } from '../../src/dns/server.ts';
import { addressAnswer, type FakeUpstream, fakeUpstream, negativeReply, replyBytes } from './fake-upstream.ts';
import { ip, queryBytes, read, sampleRecords } from './sample-cluster.ts';
import { startServer, udpAsk } from './socket-client.ts';

const LOCAL = 'default.svc.cluster.local';

/** The world knows www.example.com and api.corp.example. */
function world(asked: Buffer): Buffer[] {
  const name = read(replyBytes(asked, 0x0100)).questions?.[0]?.name.toLowerCase();
  if (name === 'www.example.com') return [replyBytes(asked, 0x8180, [addressAnswer(192, 0, 2, 7)])];
  if (name === 'api.corp.example') return [replyBytes(asked, 0x8180, [addressAnswer(192, 0, 2, 8)])];
  return [negativeReply(asked, 3, 60, 60)];
}

/** The pod default/tester has the address that our questions come from. */
async function serving(
  t: Test,
  options: Partial<DnsServerOptions> = {},
  pod: Partial<(typeof sampleRecords.pods)[number]> = {},
): Promise<{ server: DnsServer; upstream: FakeUpstream }> {
  const upstream = await fakeUpstream(t, world);
  const tester = { namespace: 'default', name: 'tester', address: ip('127.0.0.1'), ...pod };
  const records = { ...sampleRecords, pods: [...sampleRecords.pods, tester] };
  const server = await startServer(t, {
    records: () => records,
    upstreams: [upstream.address],
    hostResolvConf: () => 'search corp.example\nnameserver 192.0.2.53\n',
    queryLogEntries: 50,
    ...options,
  });
  return { server, upstream };
}

const asking =
  (server: DnsServer) =>
  async (name: string, type: number = TYPE.a) =>
    read(await udpAsk(server.port, queryBytes(name, type)));

t.test('one question for a name of the world, one for a service of another namespace', async (t) => {
  const { server, upstream } = await serving(t);
  const ask = asking(server);
  t.match(await ask(`WWW.example.com.${LOCAL}`), {
    rcode: 0,
    answers: [
      { type: 'CNAME', name: `WWW.example.com.${LOCAL}`, ttl: 5, data: 'www.example.com' },
      { type: 'A', name: 'www.example.com', ttl: 60, data: '192.0.2.7' },
    ],
  });
  t.strictSame(
    upstream.asked.map(({ query }) => read(query).questions?.[0]?.name),
    ['www.example.com.corp.example', 'www.example.com'],
    'in the order of the path: what the cluster holds is not asked outside',
  );
  t.match((await ask(`web.default.${LOCAL}`)).answers, [
    { type: 'CNAME', data: 'web.default.svc.cluster.local' },
    { type: 'A', data: '10.96.0.20' },
  ]);
  t.match((await ask(`api.${LOCAL}`)).answers, [
    { type: 'CNAME', data: 'api.corp.example' },
    { type: 'A', data: '192.0.2.8' },
  ]);
  const nodata = await ask(`web.default.${LOCAL}`, TYPE.aaaa);
  t.match(nodata, { rcode: 0, answers: [{ type: 'CNAME' }], authorities: [{ type: 'SOA' }] }, 'A and AAAA: one name');
  t.equal(nodata.answers?.length, 1);
  t.match(server.counters().autopath, { completed: 4, failed: 0 });
});

t.test('what is there is answered as it is; what is nowhere stays NXDOMAIN', async (t) => {
  const { server, upstream } = await serving(t);
  const ask = asking(server);
  t.match((await ask(`web.${LOCAL}`)).answers, [{ type: 'A', data: '10.96.0.20' }]);
  t.match(await ask(`nothing.here.${LOCAL}`), { rcode: 3, answers: [], authorities: [{ name: 'cluster.local' }] });
  const before = upstream.asked.length;
  t.equal((await ask(`nosuch.${LOCAL}`)).rcode, 3);
  t.strictSame(
    upstream.asked.slice(before).map(({ query }) => read(query).questions?.[0]?.name),
    ['nosuch.corp.example'],
    'a single label is not asked around the world',
  );
  for (const name of ['www.example.com.svc.cluster.local', 'www.example.com.kube-system.svc.cluster.local']) {
    t.equal((await ask(name)).rcode, 3, `${name} is not what this pod asks first`);
  }
  t.equal((await ask(`a.b.c.d.e.f.${LOCAL}`)).rcode, 3, 'as many dots as ndots: asked as it is first');
  t.equal((await ask(`www.example.com.${LOCAL}`, TYPE.srv)).rcode, 3, 'addresses alone');
});

t.test('nobody waits for upstreams that do not answer', async (t) => {
  const { server, upstream } = await serving(t, { upstreamTimeoutMs: 1500, probeMs: 60_000, hedgeMs: 2000 });
  const ask = asking(server);
  upstream.script = () => [];
  const began = performance.now();
  t.equal((await ask(`www.example.com.${LOCAL}`)).rcode, 3);
  const took = performance.now() - began;
  t.ok(took > 350 && took < 1300, `${took.toFixed(0)} ms`);
  t.match(server.queryLog()?.at(-1)?.completion, [
    { name: 'www.example.com.svc.cluster.local', result: 'NXDOMAIN' },
    { name: 'www.example.com.cluster.local', result: 'NXDOMAIN' },
    { name: 'www.example.com.corp.example', result: 'no answer in time' },
  ]);
  const { server: alone } = await serving(t, { upstreams: [] });
  await asking(alone)(`www.example.com.${LOCAL}`);
  t.equal(alone.queryLog()?.at(-1)?.completion?.at(-1)?.result, 'not asked: no upstream answers');
});

t.test('each pod by its own path; nobody else', async (t) => {
  const other = await serving(t, {}, { namespace: 'kube-system' });
  t.equal((await asking(other.server)(`www.example.com.${LOCAL}`)).rcode, 3);
  t.equal((await asking(other.server)('www.example.com.kube-system.svc.cluster.local')).rcode, 0);
  const low = await serving(t, {}, { dnsConfig: { options: [{ name: 'ndots', value: '1' }] } });
  t.equal((await asking(low.server)(`www.example.com.${LOCAL}`)).rcode, 3, 'ndots:1: it asks as it is first');
  const host = await serving(t, {}, { hostNetwork: true });
  t.equal((await asking(host.server)(`www.example.com.${LOCAL}`)).rcode, 3, 'the host’s address tells no pod');
  const off = await serving(t, { autopath: false });
  t.equal((await asking(off.server)(`www.example.com.${LOCAL}`)).rcode, 3, 'switched off');
});

t.test('the log says which candidate a question was, and is bounded', async (t) => {
  const { server } = await serving(t, { queryLogEntries: 3 });
  const ask = asking(server);
  await ask('www.example.com');
  await ask(`www.example.com.${LOCAL}`);
  await ask('www.example.com.cluster.local', TYPE.aaaa);
  await ask(`web.${LOCAL}`);
  t.match(server.queryLog(), [
    {
      client: '127.0.0.1',
      pod: 'default/tester',
      transport: 'udp',
      name: `www.example.com.${LOCAL}`,
      type: 'A',
      rcode: 'NOERROR',
      source: 'cache',
      answers: ['CNAME www.example.com', 'A 192.0.2.7'],
      search: { name: 'www.example.com', step: 1, of: 5 },
      completion: { length: 4 },
    },
    {
      rcode: 'NXDOMAIN',
      type: 'AAAA',
      source: 'zone',
      search: { name: 'www.example.com', step: 3, of: 5 },
      answers: [],
    },
    { name: `web.${LOCAL}`, answers: ['A 10.96.0.20'], search: { name: 'web', step: 1 } },
  ]);
  t.equal(server.queryLog()?.length, 3);
  const { server: silent } = await serving(t, { queryLogEntries: 0 });
  t.equal(silent.queryLog(), undefined);
});

t.test('explained: the candidates in order, each with its answer', async (t) => {
  const { server } = await serving(t, { address: '127.0.0.1' });
  const told = await server.explain('tester', 'www.example.com');
  t.match(told, {
    pod: 'default/tester',
    nameservers: ['127.0.0.1'],
    search: [LOCAL, 'svc.cluster.local', 'cluster.local', 'corp.example'],
    ndots: 5,
    asksUs: true,
    completed: true,
    completion: [{}, {}, { name: 'www.example.com.corp.example' }, { name: 'www.example.com', result: 'NOERROR' }],
  });
  t.strictSame(
    told?.tries.map((each) => [each.name, each.by, each.answers.map(({ rcode }) => rcode).join(), each.found]),
    [
      [`www.example.com.${LOCAL}`, 'search', 'NXDOMAIN,NXDOMAIN', false],
      ['www.example.com.svc.cluster.local', 'search', 'NXDOMAIN,NXDOMAIN', false],
      ['www.example.com.cluster.local', 'search', 'NXDOMAIN,NXDOMAIN', false],
      ['www.example.com.corp.example', 'search', 'NXDOMAIN,NXDOMAIN', false],
      ['www.example.com', 'as is', 'NOERROR,NOERROR', true],
    ],
  );
  t.strictSame(told?.tries.at(-1)?.answers[0]?.records, ['A 192.0.2.7']);
  t.match(await server.explain('default/tester', 'web'), { tries: { length: 1 }, completed: false });
  t.match(await server.explain('tester', 'www.example.com.'), {
    tries: [{ by: 'as is', found: true }],
    completion: [],
  });
  t.match(await server.explain('tester', 'x'.repeat(64)), { tries: [{ answers: [], found: false }] });
  t.equal(await server.explain('nobody', 'web'), undefined);
  const { server: own } = await serving(t, {}, { dnsPolicy: 'Default' });
  t.match(await own.explain('tester', 'www.example.com'), { asksUs: false, nameservers: ['192.0.2.53'], ndots: 1 });
});
