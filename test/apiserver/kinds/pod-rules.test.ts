/** What of a pod's spec is refused, in pods and in templates, and what stands already and may stay. */
import t from 'tap';
import type { ApiObject } from '../../../src/apiserver/api-object.ts';
import { ResourceTable } from '../../../src/apiserver/kinds/resource-table.ts';
import { formatPath } from '../../../src/kube/violation.ts';

const table = new ResourceTable();
const pods = table.known('', 'v1', 'pods');

const podOf = (container: object, spec: object = {}): ApiObject =>
  ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'one', namespace: 'default' },
    spec: { containers: [{ name: 'c', image: 'a', ...container }], ...spec },
  }) as unknown as ApiObject;

function said(object: ApiObject, old?: ApiObject, resource = pods): string[] {
  const whole = structuredClone(object);
  resource.defaults?.(whole);
  t.same(table.check(resource)(whole), [], 'its schema takes it');
  return (resource.rules?.(whole, old) ?? []).map(({ path, message }) => `${formatPath(path)}: ${message}`);
}

const C = 'spec.containers[0]';

t.test('containers', async (t) => {
  const refused = (container: object, ...messages: string[]) =>
    t.same(
      said(podOf(container)),
      messages.map((message) => `${C}.${message}`),
    );
  refused({ image: '' }, 'image: Required value');
  refused({ image: '', command: ['true'] });
  refused(
    {
      ports: [
        { name: 'x', containerPort: 1 },
        { name: 'x', containerPort: 2 },
      ],
    },
    'ports[1].name: Duplicate value: "x"',
  );
  const requests = { cpu: '2', memory: '1Gi', other: 5 };
  refused(
    { resources: { requests, limits: { cpu: '1500m', memory: '1Gi' } } },
    'resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1500m',
  );
  refused(
    { imagePullPolicy: 'Sometimes' },
    'imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"',
  );
  refused({ volumeMounts: [{ name: 'v', mountPath: '/v' }] }, 'volumeMounts[0].name: Not found: "v"');
  refused({ volumeMounts: 5, env: [], ports: [] });
  const volumes = [{ name: 'v', emptyDir: {} }];
  t.same(said(podOf({ volumeMounts: [{ name: 'v', mountPath: '/v' }] }, { volumes })), []);
});

t.test('variables', async (t) => {
  const named = (name: string) => said(podOf({ env: [{ name, value: 'x' }] }));
  for (const name of ['A', 'a.b-c', '1']) t.same(named(name), []);
  for (const name of ['A=B', 'A B', 'A\u0000', 'A\n', 'Ä']) {
    t.match(named(name)[0], /^spec.containers\[0\].env\[0\].name: Invalid value: "A|^spec.*"Ä"/, JSON.stringify(name));
  }
  const field = (fieldPath: string) => said(podOf({ env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath } } }] }));
  for (const path of ['metadata.name', "metadata.labels['a.b/c']", "metadata.annotations['x']", 'status.hostIPs']) {
    t.same(field(path), [], path);
  }
  for (const path of ['metadata.labels', "metadata.labels['a b']", "metadata.labels['<KEY>']", 'spec.hostname']) {
    t.match(field(path), [/^spec.containers\[0\].env\[0\].valueFrom.fieldRef.fieldPath: Unsupported value: /], path);
  }
});

t.test('probes and hooks', async (t) => {
  const exec = { command: ['true'] };
  const [none, many] = ['Required value: must specify a handler type', 'may not specify more than 1 handler type'];
  t.same(said(podOf({ livenessProbe: {} })), [`${C}.livenessProbe: ${none}`]);
  t.same(said(podOf({ readinessProbe: { exec, httpGet: { port: 80 }, successThreshold: 3 } })), [
    `${C}.readinessProbe.httpGet: Forbidden: ${many}`,
  ]);
  t.same(said(podOf({ lifecycle: { postStart: {}, preStop: { exec, sleep: { seconds: 1 } } } })), [
    `${C}.lifecycle.postStart: ${none}`,
    `${C}.lifecycle.preStop.sleep: Forbidden: ${many}`,
  ]);
  t.same(said(podOf({ startupProbe: { exec, successThreshold: 2 }, livenessProbe: { exec, successThreshold: 0 } })), [
    `${C}.startupProbe.successThreshold: Invalid value: 2: must be 1`,
  ]);
  const initContainers = [
    { name: 'i', image: 'a', restartPolicy: 'Never' },
    { name: 's', image: 'a', restartPolicy: 'Always' },
  ];
  t.same(said(podOf({}, { initContainers })), [
    'spec.initContainers[0].restartPolicy: Unsupported value: "Never": supported values: "Always"',
  ]);
});

t.test('what was taken once may be written again, and become no worse', async (t) => {
  const old = podOf({ imagePullPolicy: 'Sometimes' });
  const labelled = (container: object) => {
    const pod = podOf(container);
    pod.metadata.labels = { a: 'b' };
    return pod;
  };
  t.same(said(labelled({ imagePullPolicy: 'Sometimes' }), old), []);
  t.match(said(labelled({ imagePullPolicy: 'Sometimes', image: '' }), old), [/image: Required value/]);
});

t.test('templates are held to the same; claims of a StatefulSet are volumes', async (t) => {
  const sets = table.known('apps', 'v1', 'statefulsets');
  const setOf = (container: object, spec: object = {}, more: object = {}): ApiObject =>
    ({
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { name: 'one', namespace: 'default' },
      spec: {
        selector: { matchLabels: { a: 'b' } },
        podManagementPolicy: 'OrderedReady',
        template: { metadata: { labels: { a: 'b' } }, spec: podOf(container, spec).spec },
        ...more,
      },
    }) as unknown as ApiObject;
  const place = 'spec.template.spec';
  const refused = (object: ApiObject, old?: ApiObject) => said(object, old, sets);
  t.same(refused(setOf({ image: '' })), [`${place}.containers[0].image: Required value`]);
  t.same(refused(setOf({ image: '' }), setOf({ image: '' })), []);
  t.same(refused(setOf({}, { initContainers: [{ name: 'c', image: 'a' }] })), [
    `${place}.containers[0].name: Duplicate value: "c"`,
  ]);
  t.same(refused(setOf({}, { dnsPolicy: 'None' })), [
    `${place}.dnsConfig.nameservers: is required with dnsPolicy None`,
  ]);
  const mounts = { volumeMounts: [{ name: 'www', mountPath: '/v' }] };
  t.match(refused(setOf(mounts)), [/Not found: "www"/]);
  t.same(refused(setOf(mounts, {}, { volumeClaimTemplates: [{ metadata: { name: 'www' } }] })), []);
  for (const plural of ['deployments', 'replicasets']) {
    const kind = table.known('apps', 'v1', plural);
    t.match(said(setOf({ image: '' }), undefined, kind), [/image: Required value/], plural);
  }
});
