/** What a pod's spec says where nobody said it: kubectl shows it, and follows some of it as pointers. */
import t from 'tap';
import { podDefaults, podSpecDefaults } from '../../../src/apiserver/kinds/pod-spec.ts';
import { unsupportedFields } from '../../../src/kube/unsupported-fields.ts';

const container = (fields: object) => (podSpecDefaults({ containers: [fields] }).containers as object[])[0];
const probe = { timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 };
const rest = {
  resources: {},
  terminationMessagePath: '/dev/termination-log',
  terminationMessagePolicy: 'File',
  imagePullPolicy: 'IfNotPresent',
};

t.test('pods and templates', async (t) => {
  const spec = {
    terminationGracePeriodSeconds: 30,
    restartPolicy: 'Always',
    dnsPolicy: 'ClusterFirst',
    schedulerName: 'default-scheduler',
    securityContext: {},
  };
  t.same(podSpecDefaults(undefined), spec);
  t.same(podDefaults({ restartPolicy: '', terminationGracePeriodSeconds: 0 }), {
    ...spec,
    terminationGracePeriodSeconds: 0,
    enableServiceLinks: true,
  });
  const once = podDefaults({ containers: [{ name: 'c', image: 'a', livenessProbe: { grpc: { port: 1 } } }] });
  t.same(podDefaults(once), once, 'a second time they change nothing');
  t.same(unsupportedFields(podDefaults({ containers: [{ name: 'c', image: 'a' }] })), [], 'nor do they ask for more');
});

t.test('containers, their probes and hooks', async (t) => {
  t.same(container({ name: 'c', command: ['true'] }), { name: 'c', command: ['true'], ...rest });
  t.same(
    container({
      livenessProbe: { grpc: { port: 1 }, periodSeconds: 0, failureThreshold: 9 },
      readinessProbe: { httpGet: { port: 80, path: '/x' } },
      lifecycle: { preStop: { httpGet: { port: 80 } } },
      env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }, { name: 'B' }],
      ports: [{ containerPort: 80 }],
    }),
    {
      ...rest,
      livenessProbe: { ...probe, failureThreshold: 9, grpc: { port: 1, service: '' } },
      readinessProbe: { ...probe, httpGet: { port: 80, path: '/x', scheme: 'HTTP' } },
      lifecycle: { preStop: { httpGet: { port: 80, path: '/', scheme: 'HTTP' } } },
      env: [{ name: 'A', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.name' } } }, { name: 'B' }],
      ports: [{ containerPort: 80, protocol: 'TCP' }],
    },
  );
  t.same(container({ livenessProbe: 5, env: 'x', lifecycle: null }), {
    ...rest,
    livenessProbe: 5,
    env: 'x',
    lifecycle: null,
  });
});

t.test('images that may change under their name are pulled always', async (t) => {
  const policy = (image: string) => (container({ image }) as { imagePullPolicy: string }).imagePullPolicy;
  for (const image of ['nginx', 'nginx:latest', 'host:5000/nginx']) t.equal(policy(image), 'Always', image);
  for (const image of ['nginx:1', 'host:5000/nginx:1', 'nginx@sha256:ab', 'nginx:1@sha256:ab']) {
    t.equal(policy(image), 'IfNotPresent', image);
  }
});
