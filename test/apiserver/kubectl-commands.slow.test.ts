/**
 * What people ask of kubectl less often, with every kubectl that is here: editing, replacing, waiting, rolling out and
 * back, describing every kind, kinds of their own. Controllers run; pods become ready without a node.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ADMINISTRATORS, Authenticator } from '../../src/apiserver/access/access.ts';
import { kubeconfig } from '../../src/apiserver/access/kubeconfig.ts';
import { ApiService } from '../../src/apiserver/api-service.ts';
import { ClusterStore } from './controllers/cluster-store.ts';
import { FakeKubelet } from './controllers/fake-kubelet.ts';
import { findKubectls, type Kubectl, kubectl } from './kubectl.ts';

const DEPLOYMENT = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: "nginx:1", ports: [{containerPort: 80}]}]}
`;
const OTHERS = `apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: c, image: nginx}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: blue}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: way}
spec: {rules: [{host: a.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed}
spec: {podSelector: {}, policyTypes: [Ingress]}
`;
const definition = (group: string) => `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.${group}}
spec:
  group: ${group}
  scope: Namespaced
  names: {plural: boats, kind: Boat, shortNames: [bt]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    additionalPrinterColumns: [{name: Sails, type: integer, jsonPath: .spec.sails}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            description: What the boat is to be.
            properties: {sails: {type: integer, minimum: 0, default: 2, description: How many sails it has.}}
          status: {type: object, properties: {afloat: {type: boolean}}}
`;

const tools = findKubectls();

t.test('commands', { skip: tools.length === 0 && 'no kubectl is on this machine', timeout: 600_000 }, async (t) => {
  const cluster = await ClusterStore.open(t);
  const authenticator = new Authenticator([], { name: 'admin', groups: [ADMINISTRATORS] });
  const service = await ApiService.start({
    store: cluster.store,
    host: '127.0.0.1',
    port: 0,
    tls: undefined,
    authenticate: (request, socket) => authenticator.userOf(request, socket),
    version: 'test',
    controllers: { alone: true },
    log: (message) => t.comment(message),
  });
  const kubelet = new FakeKubelet(cluster, { anywhere: true });
  await kubelet.start();
  t.teardown(async () => {
    kubelet.stop();
    await service.close();
  });
  const folder = t.testdir();
  const config = join(folder, 'config');
  const server = `http://127.0.0.1:${service.port}`;
  writeFileSync(config, kubeconfig({ server, user: 'admin', authority: undefined, credentials: undefined }));
  writeFileSync(join(folder, 'web.yaml'), DEPLOYMENT);
  writeFileSync(join(folder, 'web-3.yaml'), DEPLOYMENT.replace('replicas: 2', 'replicas: 3'));
  writeFileSync(join(folder, 'others.yaml'), OTHERS);
  for (const tool of tools) {
    mkdirSync(join(folder, `home-${tool.name}`), { recursive: true });
    await t.test(tool.name, (t) => commands(t, tool, config, folder));
  }
});

async function commands(t: Test, tool: Kubectl, config: string, folder: string): Promise<void> {
  const namespace = `n${tool.name.replace(/\W/g, '-')}`;
  const k = (...words: string[]) => kubectl(tool, config, ['-n', namespace, ...words]);
  const web = join(folder, 'web.yaml');
  const others = join(folder, 'others.yaml');
  t.match(await k('create', 'namespace', namespace), /created/);
  t.match(await k('create', '-f', web), /deployment.apps\/web created/);
  await t.rejects(k('create', '-f', web), /AlreadyExists.*"web" already exists/);
  t.match(await k('rollout', 'status', 'deploy/web', '--timeout=30s'), /successfully rolled out/);
  t.match(await k('wait', '--for=condition=Available', 'deploy/web', '--timeout=10s'), /condition met/);
  t.match(await k('wait', '--for=jsonpath={.status.readyReplicas}=2', 'deploy/web', '--timeout=10s'), /condition met/);
  t.match(await k('get', 'deploy,rs', '-o', 'wide'), /nginx:1[\s\S]*replicaset.apps\/web-/);
  t.match(await k('get', 'deploy', 'web', '-o', 'yaml'), /kind: Deployment\n/);
  t.match(JSON.parse(await k('get', 'pods', '-l', 'app=web', '-o', 'json')), { kind: 'List', items: { length: 2 } });
  t.match(await k('expose', 'deploy', 'web', '--port=80'), /service\/web exposed/);
  t.match(await k('run', 'alone', '--image=nginx'), /pod\/alone created/);
  t.match(await k('wait', '--for=condition=Ready', 'pod/alone', '--timeout=10s'), /condition met/);

  t.match(await k('set', 'image', 'deploy/web', 'c=nginx:2'), /image updated/);
  t.match(await k('rollout', 'status', 'deploy/web', '--timeout=30s'), /successfully rolled out/);
  t.match(await k('rollout', 'history', 'deploy/web'), /REVISION[\s\S]*1[\s\S]*2/);
  t.match(await k('rollout', 'undo', 'deploy/web'), /rolled back/);
  t.match(await k('rollout', 'status', 'deploy/web', '--timeout=30s'), /successfully rolled out/);
  t.equal(await k('get', 'deploy', 'web', '-o', 'jsonpath={.spec.template.spec.containers[0].image}'), 'nginx:1');
  t.match(await k('rollout', 'restart', 'deploy/web'), /restarted/);
  t.match(await k('rollout', 'status', 'deploy/web', '--timeout=30s'), /successfully rolled out/);
  t.match(await k('replace', '-f', join(folder, 'web-3.yaml')), /replaced/);
  t.match(await k('wait', '--for=jsonpath={.status.readyReplicas}=3', 'deploy/web', '--timeout=10s'), /condition met/);
  await t.rejects(k('diff', '-f', web), /replicas: 2/, 'a difference is exit code 1');
  t.match(await k('scale', 'deploy', 'web', '--replicas=1'), /scaled/);

  t.match(await k('apply', '-f', others), /statefulset.apps\/db created/);
  t.equal(await k('diff', '-f', others), '', 'nothing differs from what was applied');
  t.match(await k('rollout', 'status', 'statefulset/db', '--timeout=30s'), /rolling update complete|roll out complete/);
  t.match(await k('patch', 'cm', 'settings', '--type=merge', '-p', '{"data":{"color":"red"}}'), /patched/);
  const operation = '[{"op":"add","path":"/data/size","value":"L"}]';
  t.match(await k('patch', 'cm', 'settings', '--type=json', '-p', operation), /patched/);
  const editor = { KUBE_EDITOR: 'sed -i s/red/green/' };
  t.match(await kubectl(tool, config, ['-n', namespace, 'edit', 'cm', 'settings'], editor), /edited/);
  t.equal(await k('get', 'cm', 'settings', '-o', 'jsonpath={.data.color} {.data.size}'), 'green L');
  t.match(await k('label', 'cm', '--all', 'tier=back'), /labeled/);
  t.match(await k('get', 'cm', '--show-labels', '-l', 'tier in (back)'), /tier=back/);
  t.equal(await k('get', 'pods', '--field-selector', 'metadata.name=alone', '-o', 'name'), 'pod/alone\n');
  t.match(await watched(tool, config, namespace), /alone/);
  for (const kind of ['deploy', 'rs', 'sts', 'pods', 'svc', 'cm', 'ingress', 'netpol', 'endpoints', 'endpointslices']) {
    t.match(await k('describe', kind), /Name: +\S+/, `describe ${kind}`);
  }
  t.match(await k('describe', 'ns', namespace), /Status: +Active/);
  t.match(await k('get', 'events'), /Scaled up|ScalingReplicaSet/);
  t.match(await k('explain', 'deployment.spec.replicas'), /integer/);
  await customKind(t, k, folder, `${namespace}.example.com`);
  t.match(await k('delete', '-f', others, '--timeout=30s'), /"db" deleted/);
  t.match(await k('delete', 'pod', 'alone', '--timeout=30s'), /"alone" deleted/);
  t.match(await k('wait', '--for=delete', 'pod/alone', '--timeout=10s'), /^(?:|.*condition met\n)$/);
  t.match(await k('delete', 'namespace', namespace, '--timeout=60s'), /deleted/);
  await t.rejects(k('get', 'ns', namespace), /not found/);
}

/** A watch that ends by itself: what it said until then. */
async function watched(tool: Kubectl, config: string, namespace: string): Promise<string> {
  const words = ['-n', namespace, 'get', 'pods', '-w', '--request-timeout=1s'];
  return kubectl(tool, config, words).catch((error: Error) => error.message);
}

async function customKind(
  t: Test,
  k: (...words: string[]) => Promise<string>,
  folder: string,
  group: string,
): Promise<void> {
  const file = join(folder, `${group}.yaml`);
  const boat = join(folder, `${group}-boat.yaml`);
  writeFileSync(file, definition(group));
  writeFileSync(boat, `apiVersion: ${group}/v1\nkind: Boat\nmetadata: {name: anna}\nspec: {sails: 3}\n`);
  t.match(await k('apply', '-f', file), /created/);
  t.match(await k('wait', '--for=condition=Established', `crd/boats.${group}`, '--timeout=10s'), /condition met/);
  t.match(await k('apply', '-f', boat), /anna created/);
  t.match(await k('apply', '-f', boat), /anna unchanged/);
  t.match(await k('get', `boats.${group}`), /NAME +SAILS\nanna +3/);
  t.match(await k('patch', `boats.${group}`, 'anna', '--type=merge', '-p', '{"spec":{"sails":4}}'), /patched/);
  await t.rejects(
    k('patch', `boats.${group}`, 'anna', '--type=merge', '-p', '{"spec":{"sails":-1}}'),
    /must be at least 0/,
  );
  t.match(await k('describe', `boats.${group}`, 'anna'), /Sails: +4/);
  t.match(await k('describe', 'crd', `boats.${group}`), /Established/);
  t.match(
    await k('explain', `boats.${group}.spec.sails`.replace(`.${group}`, ''), `--api-version=${group}/v1`),
    /How many sails/,
  );
  t.match(await k('api-resources', `--api-group=${group}`), /boats +bt +\S+ +true +Boat/);
  t.match(await k('delete', '-f', file, '--timeout=30s'), /deleted/);
}
