/** From a pod's object to what is run: names, environment, files, and what is said to be left out. */
import { Buffer } from 'node:buffer';
import t from 'tap';
import { expand, launchOf } from '../../../src/agent/pods/container-launch.ts';
import { BUILT_IN_IMAGES } from '../../../src/agent/pods/image-map.ts';
import {
  netnsName,
  type PodPlan,
  type PodPlanContext,
  planPod,
  podDirectory,
} from '../../../src/agent/pods/pod-plan.ts';
import type { ClusterPod } from '../../../src/control/model.ts';
import { parseAddress } from '../../../src/wire/address.ts';

const CONTEXT: PodPlanContext = {
  stateDir: '/run/weft/hosta',
  nodeAddresses: ['172.31.0.11', 'fd00:172:31::11'],
  clusterDns: ['10.96.0.10', 'fd00:10:96::a'],
  clusterDomain: 'cluster.local',
  hostResolvConf: 'nameserver 192.0.2.53\nsearch example.org\n',
  hostEtcHosts: '127.0.0.1 localhost\n192.0.2.1 thehost\n',
  mtu: 1450,
  configMaps: new Map(),
  services: new Map(),
  images: BUILT_IN_IMAGES,
  allocatable: { processors: 2, memoryBytes: 4 * 2 ** 30 },
};

/** What a container of the plan would be started with. */
function launch(plan: PodPlan, i = 0) {
  const { spec, command } = plan.containers[i] as PodPlan['containers'][number];
  return launchOf(spec, command, plan.launch);
}

function pod(spec: object, more: Partial<ClusterPod> = {}): ClusterPod {
  const address = parseAddress('10.244.1.5') as ClusterPod['address'];
  return {
    namespace: 'default',
    name: 'web-0',
    nodeName: 'hosta',
    address,
    addresses: [address],
    hostNetwork: false,
    hostname: 'web-0',
    labels: {},
    ready: true,
    object: {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'web-0', namespace: 'default' },
      spec: { containers: [{ name: 'web', command: ['sleep', 'infinity'] }], ...spec },
    },
    ...more,
  };
}

t.test('names of namespaces and folders are unique and short enough', async (t) => {
  t.equal(netnsName('default', 'web-0'), 'weft-default-web-0');
  t.not(netnsName('a', 'b-c'), netnsName('a-b', 'c'));
  t.match(netnsName('a-b', 'c'), /^weft-a-b-c-[0-9a-f]{8}$/);
  const long = [
    netnsName('n'.repeat(63), 'p'.repeat(253)),
    podDirectory('/run/weft/hosta', 'n'.repeat(63), 'p'.repeat(253)),
  ];
  for (const path of long) t.ok(Buffer.byteLength(path.split('/').at(-1) as string) <= 200);
  t.equal(podDirectory('/s', 'default', 'web-0'), '/s/pods/default_web-0');
});

t.test('variables refer to earlier ones', async (t) => {
  const env = { A: 'x', B: 'y' };
  t.equal(expand('$(A)-$(B)', env), 'x-y');
  t.equal(expand('$$(A) $(C) $A $', env), '$(A) $(C) $A $');
  t.equal(expand('$(constructor)', env), '$(constructor)');
});

t.test('command, arguments and environment', async (t) => {
  const container = {
    name: 'web',
    command: ['weft', 'netexec'],
    args: ['--name', '$(WHO)', '$(NOBODY)'],
    workingDir: '/tmp',
    env: [
      { name: 'WHO', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
      { name: 'IPS', valueFrom: { fieldRef: { fieldPath: 'status.podIPs' } } },
      { name: 'HOST_IPS', valueFrom: { fieldRef: { fieldPath: 'status.hostIPs' } } },
      { name: 'HOST_IP', valueFrom: { fieldRef: { fieldPath: 'status.hostIP' } } },
      { name: 'BOTH', value: '$(WHO)@$(IP)' },
      { name: 'SECRET', valueFrom: { secretKeyRef: { name: 's', key: 'k', optional: true } } },
    ],
  };
  const web = launch(planPod(pod({ containers: [container] }), CONTEXT));
  t.same(web.argv, ['weft', 'netexec', '--name', 'web-0', '$(NOBODY)']);
  t.match(web.env, {
    WHO: 'web-0',
    IP: '10.244.1.5',
    HOST_IP: '172.31.0.11',
    BOTH: 'web-0@10.244.1.5',
    HOSTNAME: 'web-0',
  });
  t.match(web.env.PATH, /^\/run\/weft\/hosta\/bin:/);
  t.equal(web.env.SECRET, undefined);
  t.equal(web.workingDir, '/tmp');
});

t.test('a pod of both families', async (t) => {
  const addresses = ['10.244.1.5', 'fd00:10:244:1::105'].map((text) => parseAddress(text) as ClusterPod['address']);
  const env = ['status.podIP', 'status.podIPs', 'status.hostIPs'].map((fieldPath) => ({
    name: fieldPath.slice(7),
    valueFrom: { fieldRef: { fieldPath } },
  }));
  const plan = planPod(pod({ containers: [{ name: 'a', command: ['true'], env }] }, { addresses }), CONTEXT);
  t.same(plan.addresses, ['10.244.1.5', 'fd00:10:244:1::105']);
  t.match(launch(plan).env, {
    podIP: '10.244.1.5',
    podIPs: '10.244.1.5,fd00:10:244:1::105',
    hostIPs: '172.31.0.11,fd00:172:31::11',
  });
  t.match(plan.resolvConf, 'nameserver 10.96.0.10\nnameserver fd00:10:96::a\n');
  t.match(plan.etcHosts, '10.244.1.5\tweb-0\nfd00:10:244:1::105\tweb-0\n');
  t.notMatch(planPod(pod({}), CONTEXT).resolvConf, 'fd00', 'who has IPv4 alone asks over IPv4');
});

t.test('a container without a command is named, the others go on', async (t) => {
  const plan = planPod(
    pod({
      containers: [
        { name: 'a', image: 'shop/web:2' },
        { name: 'b', command: ['true'] },
      ],
    }),
    CONTEXT,
  );
  t.throws(() => launch(plan, 0), { reason: 'ErrImageNeverPull', message: /^image shop\/web:2 is not known; give/ });
  t.same(launch(plan, 1).argv, ['true']);
});

t.test('what is not carried out is said', async (t) => {
  const spec = {
    containers: [{ name: 'a', command: ['true'], volumeMounts: [{ name: 'v', mountPath: '/v' }] }],
    hostPID: true,
  };
  t.same(planPod(pod(spec), CONTEXT).unsupported, [
    'spec.hostPID and hostIPC make no difference: pods share those of the host',
    'spec.containers[0].volumeMounts is not supported',
  ]);
});

t.test("resolv.conf and hosts are the pod's, or the host's in its network", async (t) => {
  const own = planPod(pod({ subdomain: 'web' }, { subdomain: 'web' }), CONTEXT);
  t.match(own.resolvConf, 'nameserver 10.96.0.10\n');
  t.match(own.resolvConf, 'search default.svc.cluster.local svc.cluster.local cluster.local example.org\n');
  t.match(own.etcHosts, /10\.244\.1\.5\tweb-0\.web\.default\.svc\.cluster\.local\tweb-0\n/);
  t.equal(own.netns, 'weft-default-web-0');

  const shared = planPod(pod({ hostNetwork: true }, { hostNetwork: true }), CONTEXT);
  t.match(shared.resolvConf, 'nameserver 192.0.2.53\n');
  t.match(shared.etcHosts, '192.0.2.1 thehost\n');
  t.equal(shared.netns, '');
});

t.test('the fingerprint changes with what runs, not with what the host resolves by', async (t) => {
  const base = planPod(pod({}), CONTEXT).fingerprint;
  t.equal(planPod(pod({}), CONTEXT).fingerprint, base);
  t.equal(planPod(pod({}), { ...CONTEXT, hostResolvConf: '' }).fingerprint, base);
  t.equal(planPod(pod({}, { labels: { a: 'b' } }), CONTEXT).fingerprint, base);
  const changes = [
    planPod(pod({ containers: [{ name: 'web', command: ['sleep', '1'] }] }), CONTEXT),
    planPod(pod({}, { address: parseAddress('10.244.1.6') as ClusterPod['address'] }), CONTEXT),
    planPod(pod({ restartPolicy: 'Never' }), CONTEXT),
    planPod(pod({ hostNetwork: true }, { hostNetwork: true }), CONTEXT),
    planPod(pod({}), { ...CONTEXT, mtu: 1400 }),
  ];
  for (const plan of changes) t.not(plan.fingerprint, base);
});

t.test('what the next version of an API fills in does not end what runs', async (t) => {
  const told = (container: object, metadata = { uid: 'u1' }) => {
    const plain = pod({ containers: [{ name: 'web', image: 'nginx', ...container }] });
    return planPod(
      { ...plain, object: { ...plain.object, metadata: { ...plain.object.metadata, ...metadata } } },
      CONTEXT,
    );
  };
  const { fingerprint } = told({});
  t.equal(told({ terminationMessagePath: '/dev/termination-log' }).fingerprint, fingerprint);
  t.equal(told({ image: 'agnhost' }).fingerprint, fingerprint, 'that starts one container anew, not the pod');
  t.not(told({}, { uid: 'u2' }).fingerprint, fingerprint);
});
