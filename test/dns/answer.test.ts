/** Every row of the Kubernetes DNS specification 1.1.0 that the zone answers, NXDOMAIN and NODATA told apart. */
import t from 'tap';
import { answerQuestion } from '../../src/dns/answer.ts';
import { RCODE, TYPE } from '../../src/dns/codes.ts';
import { buildZone } from '../../src/dns/zone.ts';
import { ask, data, ip, sampleRecords, sampleZone } from './sample-cluster.ts';

const web = 'web.default.svc';

t.test('a service has its addresses, by family', async (t) => {
  t.strictSame(data(ask(web, TYPE.a).answers), ['10.96.0.20']);
  t.equal(ask(web, TYPE.a).answers[0]?.ttlSeconds, 5);
  t.strictSame(data(ask('dual.default.svc', TYPE.a).answers), ['10.96.0.21']);
  t.strictSame(data(ask('dual.default.svc', TYPE.aaaa).answers), ['fd00:10::21']);
  t.ok(ask(web, TYPE.a).authoritative);
});

t.test('NODATA where the name exists, with the SOA', async (t) => {
  const empty: [string, number][] = [
    [web, TYPE.aaaa],
    [web, TYPE.txt],
    ['', TYPE.a],
    ['svc', TYPE.a],
    ['pod', TYPE.a],
    ['dns', TYPE.a],
    ['default.svc', TYPE.a],
    ['quiet.svc', TYPE.a],
    ['quiet.pod', TYPE.aaaa],
    [`_tcp.${web}`, TYPE.srv],
    [`_http._tcp.${web}`, TYPE.a],
    ['dns-version', TYPE.a],
    ['10-244-1-5.default.pod', TYPE.srv],
    ['244.10.in-addr.arpa.', TYPE.a],
    ['1.244.10.in-addr.arpa.', TYPE.ptr],
  ];
  for (const [name, type] of empty) {
    const answer = ask(name, type);
    t.equal(answer.rcode, RCODE.noError, `${name} ${type}`);
    t.strictSame(answer.answers, [], `${name} ${type}`);
    t.match(answer.authorities, [{ type: TYPE.soa, negativeTtlSeconds: 5, serial: 7 }], `${name} ${type}`);
  }
});

t.test('NXDOMAIN where it does not, with the SOA of its zone', async (t) => {
  const names = [
    'nobody.default.svc',
    'web.nowhere.svc',
    'nowhere.svc',
    'nowhere.pod',
    'web.default',
    'default',
    `_https._tcp.${web}`,
    `_udp.${web}`,
    `deeper.${web}`,
    'idle.default.svc',
    '_http._tcp.idle.default.svc',
    '10-244-9-9.default.pod',
    '10-244-1-5.kube-system.pod',
    'web\\.default.svc',
    'unsayable.default.svc',
    `${'deep.'.repeat(40)}svc`,
  ];
  for (const name of names) {
    const answer = ask(name, TYPE.a);
    t.equal(answer.rcode, RCODE.nxDomain, name);
    t.strictSame(data(answer.authorities), ['SOA cluster.local'], name);
  }
  t.equal(ask('200.9.244.10.in-addr.arpa.', TYPE.ptr).rcode, RCODE.nxDomain);
  t.strictSame(data(ask('200.9.244.10.in-addr.arpa.', TYPE.ptr).authorities), ['SOA 244.10.in-addr.arpa']);
  t.strictSame(data(ask('9.9.100.10.in-addr.arpa.', TYPE.ptr).authorities), ['SOA 100.10.in-addr.arpa']);
});

t.test('a headless service is its ready endpoints', async (t) => {
  t.strictSame(data(ask('db.default.svc', TYPE.a).answers), ['10.244.1.7', '10.244.2.8']);
  t.strictSame(data(ask('db-0.db.default.svc', TYPE.a).answers), ['10.244.1.7'], 'by hostname');
  t.strictSame(data(ask('10-244-2-8.db.default.svc', TYPE.a).answers), ['10.244.2.8'], 'by address');
  t.equal(ask('10-244-1-7.db.default.svc', TYPE.a).rcode, RCODE.nxDomain, 'a hostname replaces the dashed address');
  t.equal(ask('crowd.default.svc', TYPE.a).answers.length, 200);
});

t.test('SRV: named ports, plain, per endpoint', async (t) => {
  const named = ask(`_http._tcp.${web}`, TYPE.srv);
  t.strictSame(data(named.answers), ['100 80 web.default.svc.cluster.local']);
  t.strictSame(data(named.additionals), ['10.96.0.20']);
  t.strictSame(data(ask(web, TYPE.srv).answers), [
    '100 80 web.default.svc.cluster.local',
    '100 443 web.default.svc.cluster.local',
  ]);
  const headless = ask('_http._tcp.db.default.svc', TYPE.srv);
  t.strictSame(data(headless.answers), [
    '50 5432 db-0.db.default.svc.cluster.local',
    '50 5433 10-244-2-8.db.default.svc.cluster.local',
  ]);
  t.strictSame(data(headless.additionals), ['10.244.1.7', '10.244.2.8']);
  t.strictSame(data(ask('db.default.svc', TYPE.srv).answers), data(headless.answers));
  t.strictSame(data(ask('db-0.db.default.svc', TYPE.srv).answers), ['100 5432 db-0.db.default.svc.cluster.local']);
  t.strictSame(data(ask('_dns._udp.dual.default.svc', TYPE.srv).additionals), ['10.96.0.21', 'fd00:10::21']);
  t.match(ask('crowd.default.svc', TYPE.srv).answers[0], { weight: 1 }, 'a weight never falls to 0');
});

t.test('PTR: services, endpoints, and what lies outside our ranges', async (t) => {
  const pointer = (name: string) => data(ask(name, TYPE.ptr).answers);
  t.strictSame(pointer('20.0.96.10.in-addr.arpa.'), ['web.default.svc.cluster.local']);
  t.strictSame(pointer('7.1.244.10.in-addr.arpa.'), ['db-0.db.default.svc.cluster.local']);
  t.strictSame(pointer('5.1.244.10.in-addr.arpa.'), ['10-244-1-5.web.default.svc.cluster.local']);
  t.strictSame(pointer('1.9.244.10.in-addr.arpa.'), ['10-244-9-1.default.pod.cluster.local'], 'a pod by itself');
  t.equal(ask('2.9.244.10.in-addr.arpa.', TYPE.ptr).rcode, RCODE.nxDomain, 'an address of the host is no pod’s');
  const nibbles = '1.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.d.f.ip6.arpa.';
  t.strictSame(pointer(nibbles), ['dual.default.svc.cluster.local']);
  t.strictSame(pointer('9.7.168.192.in-addr.arpa.'), ['192-168-7-9.legacy.default.svc.cluster.local']);
  for (const key of ['8.7.168.192.in-addr.arpa', '10.in-addr.arpa', '1.0.112.10.in-addr.arpa', 'example.com', '']) {
    t.equal(answerQuestion(sampleZone, key, TYPE.ptr), undefined, `${key} is for others`);
  }
});

t.test('pods that exist have names, others have none', async (t) => {
  t.strictSame(data(ask('10-244-1-5.default.pod', TYPE.a).answers), ['10.244.1.5']);
  t.strictSame(data(ask('fd00-244--5.kube-system.pod', TYPE.aaaa).answers), ['fd00:244::5']);
});

t.test('ExternalName: CNAME, followed within the zone, handed out beyond it', async (t) => {
  const outside = ask('outside.default.svc', TYPE.a);
  t.strictSame(data(outside.answers), ['www.example.com']);
  t.equal(outside.outside, 'www.example.com');
  t.strictSame(data(ask('outside.default.svc', TYPE.cname).answers), ['www.example.com']);
  t.equal(ask('outside.default.svc', TYPE.cname).outside, undefined);
  t.strictSame(data(ask('alias.default.svc', TYPE.a).answers), ['web.default.svc.cluster.local', '10.96.0.20']);
  const broken = ask('broken-alias.default.svc', TYPE.a);
  t.equal(broken.rcode, RCODE.nxDomain);
  t.strictSame(data(broken.answers), ['nobody.default.svc.cluster.local']);
  t.equal(ask('ring-a.default.svc', TYPE.a).rcode, RCODE.servFail, 'a ring ends');
});

t.test('the apex', async (t) => {
  t.strictSame(data(ask('', TYPE.soa).answers), ['SOA cluster.local']);
  t.strictSame(data(ask('', TYPE.ns).answers), ['ns.dns.cluster.local']);
  t.strictSame(data(ask('', TYPE.ns).additionals), ['10.96.0.10']);
  t.strictSame(data(ask('ns.dns', TYPE.a).answers), ['10.96.0.10']);
  t.strictSame(data(ask('dns-version', TYPE.txt).answers), ['1.1.0']);
  t.strictSame(data(ask('244.10.in-addr.arpa.', TYPE.soa).answers), ['SOA 244.10.in-addr.arpa']);
});

t.test('zone transfers and ANY are refused', async (t) => {
  for (const type of [251, 252, 255]) t.equal(ask('', type).rcode, RCODE.refused, `type ${type}`);
});

t.test('what cannot be a domain name is left out and named', async (t) => {
  t.strictSame(sampleZone.unwritable, [`${'x'.repeat(64)}.example.com`]);
  const bad = { namespace: 'a b', name: 'bad', address: ip('10.244.1.1') };
  const zone = buildZone(
    { ...sampleRecords, pods: [bad, ...sampleRecords.pods] },
    { domain: 'Example.', address: ip('10.96.0.10'), serial: 1 },
  );
  t.strictSame(ask('1.1.244.10.in-addr.arpa.', TYPE.ptr, zone).answers, []);
  t.strictSame(data(ask('10-244-1-5.default.pod', TYPE.a, zone).answers), ['10.244.1.5'], 'the good ones stand');
});
