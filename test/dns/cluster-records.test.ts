/** From Kubernetes objects to names: model, records and zone together. */
import t from 'tap';
import { buildModel } from '../../src/control/model-builder.ts';
import { clusterRecords } from '../../src/dns/cluster-records.ts';
import { RCODE, TYPE } from '../../src/dns/codes.ts';
import { buildZone, type Zone } from '../../src/dns/zone.ts';
import { type KubeObject, objectSet } from '../../src/kube/objects.ts';
import { ask, data, ip, prefix } from './sample-cluster.ts';

function pod(
  name: string,
  address: string,
  more: { hostname?: string; subdomain?: string; ready?: boolean } = {},
): KubeObject {
  const { ready = true, ...spec } = more;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace: 'shop', name, labels: { app: 'db' } },
    spec: { nodeName: 'one', containers: [{ name: 'c', ports: [{ name: 'sql', containerPort: 5432 }] }], ...spec },
    status: { podIP: address, conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
  };
}

function service(name: string, spec: Extract<KubeObject, { kind: 'Service' }>['spec']): KubeObject {
  return { apiVersion: 'v1', kind: 'Service', metadata: { namespace: 'shop', name }, spec };
}

function zoneOf(objects: KubeObject[]): Zone {
  const settings = {
    clusterCidr: '10.244.0.0/16',
    serviceCidr: '10.96.0.0/16',
    clusterDns: '10.96.0.10',
    clusterDomain: 'cluster.local',
  };
  const records = clusterRecords(buildModel(objectSet(objects), settings), [prefix('10.244.0.0/16')]);
  return buildZone(records, { domain: 'cluster.local', address: ip('10.96.0.10'), serial: 1 });
}

const ports = [{ name: 'sql', port: 3306, targetPort: 'sql' }];
const objects: KubeObject[] = [
  {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'one' },
    spec: { podCIDR: '10.244.1.0/24' },
    status: { addresses: [{ type: 'InternalIP', address: '192.0.2.1' }] },
  },
  pod('db-0', '10.244.1.10', { hostname: 'db-0', subdomain: 'db' }),
  pod('db-1', '10.244.1.11'),
  pod('db-2', '10.244.1.12', { ready: false }),
  service('db', { clusterIP: 'None', selector: { app: 'db' }, ports }),
  service('all', { clusterIP: 'None', selector: { app: 'db' }, ports, publishNotReadyAddresses: true }),
  service('front', { clusterIP: '10.96.0.50', selector: { app: 'db' }, ports }),
  service('allotted', { selector: { app: 'none' }, ports }),
  service('away', { type: 'ExternalName', externalName: 'example.com' }),
];

t.test('every kind of service', async (t) => {
  const zone = zoneOf(objects);
  const found = (name: string, type: number) => data(ask(`${name}.shop.svc`, type, zone).answers);
  t.strictSame(found('db', TYPE.a), ['10.244.1.10', '10.244.1.11'], 'ready ones');
  t.strictSame(found('all', TYPE.a), ['10.244.1.10', '10.244.1.11', '10.244.1.12'], 'all that it publishes');
  t.strictSame(found('db-0.db', TYPE.a), ['10.244.1.10'], 'a pod under its host name in its subdomain');
  t.equal(ask('db-0.all.shop.svc', TYPE.a, zone).rcode, RCODE.nxDomain, 'and in no other');
  t.strictSame(found('_sql._tcp.db', TYPE.srv), [
    '50 5432 db-0.db.shop.svc.cluster.local',
    '50 5432 10-244-1-11.db.shop.svc.cluster.local',
  ]);
  t.strictSame(found('front', TYPE.a), ['10.96.0.50']);
  t.strictSame(found('_sql._tcp.front', TYPE.srv), ['100 3306 front.shop.svc.cluster.local']);
  t.match(found('allotted', TYPE.a), [/^10\.96\.\d+\.\d+$/], 'an address that nobody wrote');
  t.strictSame(found('away', TYPE.a), ['example.com']);
  t.strictSame(data(ask('10-244-1-12.shop.pod', TYPE.a, zone).answers), ['10.244.1.12']);
  t.equal(ask('shop.svc', TYPE.a, zone).rcode, RCODE.noError);
  t.equal(ask('default.svc', TYPE.a, zone).rcode, RCODE.nxDomain);
});

t.test('any order of the objects gives the same names', async (t) => {
  t.strictSame([...zoneOf([...objects].reverse()).names].sort(), [...zoneOf(objects).names].sort());
});
