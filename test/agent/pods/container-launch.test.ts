/** Variables as they are when a container starts: services, ConfigMaps, fields of the pod, resources. */
import type { Container } from 'kubernetes-types/core/v1.js';
import t from 'tap';
import { type LaunchContext, launchOf } from '../../../src/agent/pods/container-launch.ts';
import { serviceVariables } from '../../../src/agent/pods/service-variables.ts';
import type { ClusterService, ClusterServicePort } from '../../../src/control/model.ts';
import type { ConfigMap } from '../../../src/kube/objects.ts';
import { parseAddress, type Words } from '../../../src/wire/address.ts';

function service(
  namespace: string,
  name: string,
  ip: string,
  ports: [string, number, 'TCP' | 'UDP'][],
): ClusterService {
  return {
    namespace,
    name,
    type: 'ClusterIP',
    families: ['IPv4'],
    clusterIps: ip === 'None' ? [] : [parseAddress(ip) as Words],
    headless: ip === 'None',
    externalIps: [],
    loadBalancerIps: [],
    loadBalancerSources: [],
    internalLocal: false,
    externalLocal: false,
    proxy: {},
    ports: ports.map(
      ([portName, port, protocol]): ClusterServicePort => ({
        name: portName,
        port,
        protocol,
        targets: [],
        standby: [],
      }),
    ),
    endpoints: [],
  };
}
const byKey = (...all: ClusterService[]) => new Map(all.map((s) => [`${s.namespace}/${s.name}`, s]));

const configMap = (name: string, data: Record<string, string>): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'shop' },
  data,
});

const context: LaunchContext = {
  namespace: 'shop',
  hostname: 'web-0',
  path: '/bin',
  fields: { 'metadata.name': 'web-0' },
  labels: { 'app.example/tier': 'front' },
  annotations: { note: 'n' },
  containers: [],
  allocatable: { processors: 2, memoryBytes: 4 * 2 ** 30 },
  configMaps: new Map([['shop/settings', configMap('settings', { color: 'blue', shape: 'round' })]]),
  services: byKey(service('shop', 'my-db', '10.96.0.7', [['', 5432, 'TCP']])),
  serviceLinks: true,
};
const launch = (container: Partial<Container>, more: Partial<LaunchContext> = {}) =>
  launchOf({ name: 'c', ...container }, ['run', '$(COLOR)'], { ...context, ...more });

/** Why a container cannot be started; `reason` and `message`. */
function refusal(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error('it was not refused');
}

t.test('service variables, as kubelet writes them', async (t) => {
  const services = byKey(
    service('default', 'kubernetes', '10.96.0.1', [['https', 443, 'TCP']]),
    service('shop', 'my-db.v2', '10.96.0.7', [
      ['sql', 5432, 'TCP'],
      ['stat-s', 9, 'UDP'],
    ]),
    service('shop', '2048', 'fd00::7', [['', 80, 'TCP']]),
    service('shop', 'headless', 'None', [['', 80, 'TCP']]),
    service('other', 'hidden', '10.96.0.9', [['', 80, 'TCP']]),
  );
  const env = serviceVariables(services, 'shop', true);
  t.same(env, {
    KUBERNETES_SERVICE_HOST: '10.96.0.1',
    KUBERNETES_SERVICE_PORT: '443',
    KUBERNETES_SERVICE_PORT_HTTPS: '443',
    KUBERNETES_PORT: 'tcp://10.96.0.1:443',
    KUBERNETES_PORT_443_TCP: 'tcp://10.96.0.1:443',
    KUBERNETES_PORT_443_TCP_PROTO: 'tcp',
    KUBERNETES_PORT_443_TCP_PORT: '443',
    KUBERNETES_PORT_443_TCP_ADDR: '10.96.0.1',
    MY_DB_V2_SERVICE_HOST: '10.96.0.7',
    MY_DB_V2_SERVICE_PORT: '5432',
    MY_DB_V2_SERVICE_PORT_SQL: '5432',
    MY_DB_V2_SERVICE_PORT_STAT_S: '9',
    MY_DB_V2_PORT: 'tcp://10.96.0.7:5432',
    MY_DB_V2_PORT_5432_TCP: 'tcp://10.96.0.7:5432',
    MY_DB_V2_PORT_5432_TCP_PROTO: 'tcp',
    MY_DB_V2_PORT_5432_TCP_PORT: '5432',
    MY_DB_V2_PORT_5432_TCP_ADDR: '10.96.0.7',
    MY_DB_V2_PORT_9_UDP: 'udp://10.96.0.7:9',
    MY_DB_V2_PORT_9_UDP_PROTO: 'udp',
    MY_DB_V2_PORT_9_UDP_PORT: '9',
    MY_DB_V2_PORT_9_UDP_ADDR: '10.96.0.7',
    _2048_SERVICE_HOST: 'fd00::7',
    _2048_SERVICE_PORT: '80',
    _2048_PORT: 'tcp://[fd00::7]:80',
    _2048_PORT_80_TCP: 'tcp://[fd00::7]:80',
    _2048_PORT_80_TCP_PROTO: 'tcp',
    _2048_PORT_80_TCP_PORT: '80',
    _2048_PORT_80_TCP_ADDR: 'fd00::7',
  });
  t.same(
    Object.keys(serviceVariables(services, 'shop', false)).filter((name) => !name.startsWith('KUBERNETES_')),
    [],
    'enableServiceLinks: false',
  );
});

t.test('ConfigMaps, whole and by key', async (t) => {
  const container = {
    envFrom: [{ prefix: 'P_', configMapRef: { name: 'settings' } }, { configMapRef: { name: 'none', optional: true } }],
    env: [
      { name: 'COLOR', valueFrom: { configMapKeyRef: { name: 'settings', key: 'color' } } },
      { name: 'ABSENT', valueFrom: { configMapKeyRef: { name: 'settings', key: 'size', optional: true } } },
      { name: 'P_shape', value: 'own, $(P_color), $(MY_DB_SERVICE_PORT)' },
    ],
  };
  const { env, argv } = launch(container);
  t.match(env, { P_color: 'blue', P_shape: 'own, blue, 5432', COLOR: 'blue' });
  t.notOk('ABSENT' in env);
  t.same(argv, ['run', 'blue']);

  const refused = (broken: Partial<Container>, message: RegExp) =>
    t.match(
      refusal(() => launch(broken)),
      { reason: 'CreateContainerConfigError', message },
    );
  refused({ envFrom: [{ configMapRef: { name: 'none' } }] }, /^configmap "none" not found$/);
  const key = (name: string, of: string) => ({
    env: [{ name: 'A', valueFrom: { configMapKeyRef: { name, key: of } } }],
  });
  refused(key('none', 'color'), /^configmap "none" not found$/);
  refused(key('settings', 'size'), /^couldn't find key size in ConfigMap shop\/settings$/);
  refused(key('settings', 'constructor'), /couldn't find key/);
  refused({ env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } }] }, /secrets are not supported/);
  refused({ envFrom: [{ secretRef: { name: 's' } }] }, /secrets are not supported/);
  refused({ env: [{ name: 'A', valueFrom: {} }] }, /valueFrom is empty/);
});

t.test('what a command reads', async (t) => {
  t.match(launch({}), { input: 'none', env: { TERM: undefined } });
  t.equal(launch({ stdin: true }).input, 'open');
  t.equal(launch({ stdin: true, stdinOnce: true }).input, 'once');
  t.equal(launch({ stdinOnce: true }).input, 'none', 'as nobody gives it any');
  t.match(launch({ stdin: true, stdinOnce: true, tty: true }), { input: 'terminal', env: { TERM: 'xterm' } });
  t.equal(launch({ tty: true, env: [{ name: 'TERM', value: 'vt100' }] }).env.TERM, 'vt100');
});

t.test('fields of the pod, with keys of its labels and annotations', async (t) => {
  const field = (fieldPath: string) => launch({ env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath } } }] }).env.A;
  t.equal(field('metadata.name'), 'web-0');
  t.equal(field("metadata.labels['app.example/tier']"), 'front');
  t.equal(field("metadata.annotations['note']"), 'n');
  t.equal(field("metadata.labels['toString']"), '');
  t.match(
    refusal(() => field('spec.containers')),
    { reason: 'CreateContainerConfigError' },
  );
});

t.test('resources: limits, else what the node has', async (t) => {
  const resources = { limits: { cpu: '1500m', memory: '64Mi' }, requests: { cpu: '0.25' } };
  const of = (resource: string, divisor?: string, own: Partial<Container> = { resources }) =>
    launch({
      ...own,
      env: [{ name: 'A', valueFrom: { resourceFieldRef: { resource, ...(divisor ? { divisor } : {}) } } }],
    }).env.A;
  t.equal(of('limits.cpu'), '2', 'whole ones, rounded up');
  t.equal(of('limits.cpu', '1m'), '1500');
  t.equal(of('requests.cpu', '1m'), '250');
  t.equal(of('limits.memory', '1Mi'), '64');
  t.equal(of('requests.memory'), `${64 * 2 ** 20}`, 'as much as its limit');
  t.equal(of('limits.memory', '1Gi', {}), '4');
  t.equal(of('limits.cpu', undefined, {}), '2');
  t.equal(of('requests.cpu', undefined, {}), '0');
  t.match(
    refusal(() => of('limits.gpu')),
    { reason: 'CreateContainerConfigError' },
  );
});
