/** What of a pod's spec is named as not carried out, and what is not. */
import t from 'tap';
import { unsupportedFields } from '../../src/kube/unsupported-fields.ts';

const fields = (spec: object, place?: string) => unsupportedFields(spec, place);

t.test('what asks for nothing that is not so is no word worth', async (t) => {
  const container = {
    name: 'a',
    volumeMounts: [{ name: 'token', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' }],
    securityContext: { privileged: true, runAsUser: 0, capabilities: { add: ['NET_ADMIN'] }, seccompProfile: null },
    resources: { requests: { cpu: '1' }, limits: {} },
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    ports: [{ containerPort: 80 }],
    stdin: true,
    stdinOnce: true,
    tty: true,
    livenessProbe: { tcpSocket: { port: 80 } },
  };
  const volumes = [{ name: 'token', projected: { sources: [] } }];
  t.same(fields({ securityContext: {}, volumes, containers: [container] }), []);
  t.same(fields({ hostNetwork: true, containers: [{ name: 'a', ports: [{ containerPort: 80, hostPort: 80 }] }] }), []);
});

t.test('each field by its place', async (t) => {
  const containers = [
    {
      name: 'a',
      ports: [{ containerPort: 80, hostPort: 80 }],
      terminationMessagePath: '/tmp/last',
    },
    {
      name: 'b',
      volumeMounts: [{ name: 'v', mountPath: '/v' }],
      volumeDevices: [{ name: 'd', devicePath: '/dev/d' }],
      resources: { limits: { cpu: 1 } },
      securityContext: {
        runAsNonRoot: true,
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
        seccompProfile: { type: 'RuntimeDefault' },
      },
      readinessProbe: { grpc: { port: 1 } },
    },
  ];
  const spec = {
    activeDeadlineSeconds: 0,
    runtimeClassName: 'kata',
    hostUsers: false,
    securityContext: { fsGroup: 1, sysctls: [] },
    initContainers: [{ name: 'i', volumeMounts: [{ name: 'v', mountPath: '/v' }] }],
    containers,
  };
  const names = [
    'activeDeadlineSeconds',
    'runtimeClassName',
    'hostUsers',
    'securityContext.fsGroup',
    'securityContext.sysctls',
    'initContainers[0].volumeMounts',
    'containers[0].terminationMessagePath',
    'containers[0].ports.hostPort',
    'containers[1].volumeMounts',
    'containers[1].volumeDevices',
    'containers[1].resources.limits',
    'containers[1].readinessProbe.grpc',
    ...['runAsNonRoot', 'allowPrivilegeEscalation', 'readOnlyRootFilesystem', 'capabilities', 'seccompProfile'].map(
      (field) => `containers[1].securityContext.${field}`,
    ),
  ];
  const place = 'spec.template.spec';
  t.same(
    fields(spec, place),
    names.map((name) => `${place}.${name} is not supported`),
  );
});

t.test('fields that nobody checks may hold anything', async (t) => {
  const container = { name: 'a', volumeMounts: 5, volumeDevices: 'x', securityContext: { capabilities: 5 } };
  for (const securityContext of [5, 'x', []]) {
    t.doesNotThrow(() => fields({ securityContext, containers: [{ ...container, volumeMounts: [null] }, container] }));
  }
});
