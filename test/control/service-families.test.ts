/** Which families a service has and which addresses it gets (KEP-563, ipFamilies and ipFamilyPolicy). */
import t from 'tap';
import type { Service } from '../../src/kube/objects.ts';
import { formatAddress } from '../../src/wire/address.ts';
import { dualA, endpointSlice, messagesOf, modelWith, pod, service } from './sample-objects.ts';

const ports = [{ port: 80 }];
const SINGLE = { clusterCidr: '10.244.0.0/16', serviceCidr: '10.96.0.0/16', clusterDns: '10.96.0.10' };

function addressesOf(spec: Partial<Service['spec']>, settings = {}) {
  const model = modelWith(settings, service('web', { ports, ...spec }));
  const found = model.services.get('default/web');
  return { families: found?.families, ips: found?.clusterIps.map(formatAddress), said: messagesOf(model) };
}

t.test('one family unless more is asked for, in the order asked for', async (t) => {
  const cases: [Partial<Service['spec']>, string[]][] = [
    [{}, ['IPv4']],
    [{ ipFamilyPolicy: 'SingleStack' }, ['IPv4']],
    [{ ipFamilies: ['IPv6'] }, ['IPv6']],
    [{ ipFamilyPolicy: 'PreferDualStack' }, ['IPv4', 'IPv6']],
    [{ ipFamilyPolicy: 'RequireDualStack' }, ['IPv4', 'IPv6']],
    [{ ipFamilyPolicy: 'RequireDualStack', ipFamilies: ['IPv6'] }, ['IPv6', 'IPv4']],
    [{ ipFamilies: ['IPv6', 'IPv4'] }, ['IPv6', 'IPv4']],
    [{ clusterIP: 'fd00:10:96::50' }, ['IPv6']],
    [{ clusterIP: '10.96.0.80', ipFamilyPolicy: 'PreferDualStack' }, ['IPv4', 'IPv6']],
  ];
  for (const [spec, families] of cases) {
    const { families: found, ips, said } = addressesOf(spec);
    t.same(found, families, JSON.stringify(spec));
    t.same(
      ips?.map((ip) => (ip.includes(':') ? 'IPv6' : 'IPv4')),
      families,
    );
    t.same(said, []);
  }
  // Every host and every version must come to these.
  t.same(addressesOf({ ipFamilyPolicy: 'PreferDualStack' }).ips, ['10.96.168.121', 'fd00:10:96::486f']);
  t.same(addressesOf({ clusterIP: 'fd00:10:96::50', ipFamilies: ['IPv6', 'IPv4'] }).ips, [
    'fd00:10:96::50',
    '10.96.168.121',
  ]);
});

t.test('a cluster of one family: preferring is not requiring', async (t) => {
  t.match(addressesOf({ ipFamilyPolicy: 'PreferDualStack' }, SINGLE), { families: ['IPv4'], said: [] });
  t.match(addressesOf({ ipFamilyPolicy: 'RequireDualStack' }, SINGLE), {
    families: undefined,
    said: [/^Service default\/web: spec.ipFamilyPolicy: RequireDualStack needs ranges of both families .*: left out/],
  });
  t.match(addressesOf({ ipFamilies: ['IPv6'] }, SINGLE).said, [/^Service default\/web: spec.ipFamilies: IPv6 has no/]);
  t.match(addressesOf({ clusterIPs: ['10.96.0.80', 'fd00:10:96::50'] }, SINGLE), {
    ips: ['10.96.0.80'],
    said: [/^Service default\/web: spec.clusterIP: fd00:10:96::50 is IPv6, of which .*: passed over/],
  });
});

t.test('IPv6 addresses are refused as those of IPv4 are', async (t) => {
  const dual = { clusterIPs: ['10.96.0.80', 'fd00:10:96::50'] };
  const model = modelWith({}, service('a', { ports, ...dual }), service('b', { ports, clusterIP: 'fd00:10:96::50' }));
  t.match(messagesOf(model), [/Service default\/b: .*fd00:10:96::50 is already the address of Service default\/a/]);
  t.match(addressesOf({ clusterIP: 'fd00:10:97::1' }).said, [/outside the services' fd00:10:96::\/112/]);
  t.match(addressesOf({ clusterIP: 'fd00:10:96::' }).said, [/is reserved/]);
  t.match(addressesOf({ clusterIP: 'fd00:10:96::a' }).said, [/is the cluster DNS/]);
});

t.test('a service without a free address of one of its families is left out', async (t) => {
  const settings = { serviceCidr: '10.96.0.0/16,fd00:10:96::/126', clusterDns: '10.96.0.10' };
  const names = ['a', 'b', 'c', 'd'];
  const model = modelWith(settings, ...names.map((n) => service(n, { ports, ipFamilyPolicy: 'PreferDualStack' })));
  t.equal(model.services.size, 3);
  t.match(messagesOf(model), [/spec.clusterIP: no address is free in fd00:10:96::\/126: left out/]);
});

t.test('pods stand behind a service by the families that it has', async (t) => {
  const behind = (spec: Partial<Service['spec']>) => {
    const labels = { app: 'web' };
    const model = modelWith({}, dualA, pod('p', { labels }), service('web', { selector: labels, ports, ...spec }));
    return model.services.get('default/web')?.endpoints.map((e) => (e.address[0] === 0 ? 'IPv4' : 'IPv6'));
  };
  t.same(behind({}), ['IPv4']);
  t.same(behind({ ipFamilies: ['IPv6'] }), ['IPv6']);
  t.same(behind({ ipFamilyPolicy: 'PreferDualStack' }), ['IPv4', 'IPv6']);
  t.same(behind({ clusterIP: 'None' }), ['IPv4']);
  t.same(behind({ clusterIP: 'None', ipFamilyPolicy: 'PreferDualStack' }), ['IPv4', 'IPv6']);
});

t.test('a headless service of hand-written endpoints has the families that those have', async (t) => {
  const slice = endpointSlice('s', 'web', { addressType: 'IPv6', endpoints: [{ addresses: ['fd00::5'] }] });
  const model = modelWith({}, service('web', { clusterIP: 'None', ports }), slice);
  t.equal(model.services.get('default/web')?.endpoints.length, 1);
  t.same(messagesOf(model), []);
});
