/** Which service ports the relay is to serve, and what makes one of them another. */
import t from 'tap';
import { HostRelay, proxyRequests } from '../../../src/agent/host/host-relay.ts';
import type { ClusterNode } from '../../../src/control/model.ts';
import { buildModel } from '../../../src/control/model-builder.ts';
import { DEFAULT_PROXY } from '../../../src/control/service-mode.ts';
import { type KubeObject, objectSet, type Service } from '../../../src/kube/objects.ts';
import { endpoints, hosta, SETTINGS, service } from '../../control/sample-objects.ts';

const USERSPACE = { mode: 'userspace', scheduler: 'rr' } as const;

function annotated(object: Service, mode: string): Service {
  return { ...object, metadata: { ...object.metadata, annotations: { 'weft.dev/proxy-mode': mode } } };
}

function requests(defaults: Parameters<typeof proxyRequests>[2], ...objects: KubeObject[]) {
  const model = buildModel(objectSet([hosta, ...objects]), SETTINGS);
  return proxyRequests(model, model.nodes.get('hosta') as ClusterNode, defaults);
}

const web = service('web', {
  clusterIP: '10.96.0.50',
  ports: [
    { name: 'http', port: 80, targetPort: 8080 },
    { name: 'dns', port: 53, protocol: 'UDP' },
  ],
});
const behind = endpoints('web', [
  {
    addresses: [{ ip: '10.244.2.7' }, { ip: '10.244.2.8' }],
    ports: [
      { name: 'http', port: 8080 },
      { name: 'dns', port: 53, protocol: 'UDP' },
    ],
  },
]);

t.test('each port of each service in userspace mode, on the gateway', async (t) => {
  t.same(requests(DEFAULT_PROXY, web, behind), []);
  t.match(requests(DEFAULT_PROXY, annotated(web, 'userspace'), behind), [
    {
      key: 'default/web TCP/80',
      protocol: 'TCP',
      listen: '10.244.1.1',
      targets: [
        { address: '10.244.2.7', port: 8080 },
        { address: '10.244.2.8', port: 8080 },
      ],
      affinitySeconds: undefined,
    },
    { key: 'default/web UDP/53', protocol: 'UDP', targets: [{ port: 53 }, { port: 53 }] },
  ]);
  t.equal(requests(USERSPACE, web, behind).length, 2);
  t.same(requests(USERSPACE, annotated(web, 'failover'), behind), []);
});

t.test('headless and external names have nothing to proxy', async (t) => {
  const headless = service('peers', { clusterIP: 'None', ports: [{ port: 80 }] });
  const name = service('name', { type: 'ExternalName', externalName: 'example.com', ports: [{ port: 80 }] });
  t.same(requests(USERSPACE, headless, name), []);
});

t.test('what makes a service port another one', async (t) => {
  const shape = (change: Partial<Service['spec']>, status?: Service['status']) => {
    const object = { ...web, spec: { ...web.spec, ...change }, ...(status ? { status } : {}) };
    const [first] = requests(USERSPACE, object, behind);
    return `${first?.shape} ${first?.affinitySeconds}`;
  };
  const all = [
    shape({}),
    shape({ clusterIP: '10.96.0.51' }),
    shape({ externalIPs: ['192.0.2.1'] }),
    shape({ sessionAffinity: 'ClientIP' }),
    shape({ type: 'LoadBalancer' }, { loadBalancer: { ingress: [{ ip: '192.0.2.7' }] } }),
    shape({ type: 'NodePort', ports: [{ name: 'http', port: 80, nodePort: 30_080 }] }),
  ];
  t.equal(new Set(all).size, all.length);
  t.equal(shape({ selector: { app: 'web' } }), shape({}), 'who stands behind it does not');
});

t.test('a port that cannot be opened is a problem of its Service', async (t) => {
  const set = objectSet([hosta, web, behind]);
  const model = buildModel(set, SETTINGS);
  const relay = new HostRelay({ proxy: USERSPACE, proxyPortRange: undefined });
  t.teardown(() => relay.close());
  // 10.244.1.1 is nobody's here.
  t.equal((await relay.open(model, model.nodes.get('hosta') as ClusterNode, set)).size, 0);
  t.match(
    relay.problems.map(({ message }) => message),
    [
      'Service default/web: spec.ports: 53/UDP is not served: no proxy port can be opened on 10.244.1.1: EADDRNOTAVAIL',
      'Service default/web: spec.ports: 80/TCP is not served: no proxy port can be opened on 10.244.1.1: EADDRNOTAVAIL',
    ],
  );
});
