/** kubectl itself against the server, over TLS: what people type every day. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { ADMINISTRATORS, Authenticator } from '../../src/apiserver/access/access.ts';
import { Authority } from '../../src/apiserver/access/authority.ts';
import { kubeconfig } from '../../src/apiserver/access/kubeconfig.ts';
import { ApiService } from '../../src/apiserver/api-service.ts';
import { LmdbStore } from '../../src/apiserver/store/lmdb-store.ts';
import { type Kubectl, kubectl } from './kubectl.ts';

const MANIFEST = `apiVersion: v1
kind: Pod
metadata: {name: web-0, labels: {app: web}}
spec:
  containers: [{name: c, image: nginx, ports: [{name: http, containerPort: 80}]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: dep}
spec:
  replicas: 3
  selector: {matchLabels: {app: dep}}
  template:
    metadata: {labels: {app: dep}}
    spec: {containers: [{name: c, image: nginx}]}
`;

/** Each of them does what people do every day, in a namespace of its own. */
export async function tryKubectls(t: Test, kubectls: readonly Kubectl[]): Promise<void> {
  const folder = t.testdir();
  const authority = await Authority.open(join(folder, 'pki'));
  const { key, certificate } = await authority.server(['127.0.0.1']);
  const authenticator = new Authenticator([]);
  const store = LmdbStore.open({ path: join(folder, 'store') });
  const service = await ApiService.start({
    store,
    host: '127.0.0.1',
    port: 0,
    tls: { key, certificate, clientCa: authority.certificate },
    authenticate: (request, socket) => authenticator.userOf(request, socket),
    version: 'test',
    controllers: false,
    log: (message) => t.comment(message),
  });
  t.teardown(async () => {
    await service.close();
    await store.close();
  });
  const config = join(folder, 'config');
  const credentials = await authority.client('admin', [ADMINISTRATORS]);
  const server = `https://127.0.0.1:${service.port}`;
  writeFileSync(config, kubeconfig({ server, user: 'admin', authority: authority.certificate, credentials }), {
    mode: 0o600,
  });
  writeFileSync(join(folder, 'all.yaml'), MANIFEST);
  for (const tool of kubectls) {
    await t.test(tool.name, (t) => everyDay(t, tool, config, folder));
  }
}

async function everyDay(t: Test, tool: Kubectl, config: string, folder: string): Promise<void> {
  const namespace = `n${tool.name.replace(/\W/g, '-')}`;
  const k = (...words: string[]) => kubectl(tool, config, ['-n', namespace, ...words]);
  const all = join(folder, 'all.yaml');
  const changed = join(folder, `changed-${namespace}.yaml`);
  mkdirSync(join(folder, `home-${tool.name}`), { recursive: true });
  writeFileSync(changed, MANIFEST.replace('replicas: 3', 'replicas: 4').replace('port: 80,', 'port: 81,'));
  const own = join(folder, `${namespace}.yaml`);
  writeFileSync(own, `apiVersion: v1\nkind: Namespace\nmetadata: {name: ${namespace}}\n`);
  t.match(await k('apply', '-f', own), /created/);
  t.match(await k('apply', '-f', all), /pod\/web-0 created\nservice\/web created\ndeployment.apps\/dep created/);
  t.match(await k('apply', '-f', all), /web-0 unchanged\nservice\/web unchanged\ndeployment.apps\/dep unchanged/);
  t.match(await k('apply', '-f', changed, '--dry-run=server'), /service\/web configured \(server dry run\)/);
  t.match(await k('apply', '-f', changed), /web-0 unchanged\nservice\/web configured\ndeployment.apps\/dep configured/);
  t.equal(
    await k('get', 'svc', 'web', '-o', 'jsonpath={.spec.ports[*].port}'),
    '81',
    'the port was replaced, not added',
  );
  t.match(await k('get', 'deploy'), /NAME +READY +UP-TO-DATE +AVAILABLE +AGE\ndep +0\/4/);
  t.match(await k('get', 'pods', '-o', 'wide'), /web-0 +0\/1 +Pending .*<none>/);
  t.match(await k('get', 'all', '-l', 'app=web', '-o', 'name'), /^pod\/web-0\n$/);
  t.match(await k('get', 'pods', '-A', '--field-selector', 'metadata.name=web-0'), new RegExp(`${namespace} +web-0`));
  t.match(await k('label', 'pod', 'web-0', 'tier=front'), /labeled/);
  t.match(await k('annotate', 'pod', 'web-0', 'note=hello'), /annotate/);
  t.match(await k('patch', 'svc', 'web', '-p', '{"spec":{"ports":[{"port":82,"name":"more"}]}}'), /patched/);
  t.equal(await k('get', 'svc', 'web', '-o', 'jsonpath={.spec.ports[*].port}'), '81 82');
  t.match(await k('scale', 'deploy', 'dep', '--replicas=2'), /scaled/);
  t.equal(await k('get', 'deploy', 'dep', '-o', 'jsonpath={.spec.replicas}'), '2');
  t.match(await k('describe', 'svc', 'web'), /Selector: +app=web/);
  t.match(await k('explain', 'service.spec.ports'), /targetPort/);
  t.match(await k('api-resources'), /deployments +deploy +apps\/v1 +true +Deployment/);
  t.match(await k('rollout', 'restart', 'deploy/dep'), /restarted/);
  t.equal(await k('auth', 'can-i', 'create', 'deployments'), 'yes\n');
  t.match(
    await k('auth', 'can-i', '--list', '--as', 'ann', '--as-group', 'weft:viewers'),
    /^pods +\[\] +\[\] +\[.*list/m,
  );
  await t.rejects(k('apply', '-f', all, '--server-side'), /server-side apply is not served/);
  await t.rejects(k('get', 'pod', 'nobody'), /pods "nobody" not found/);
  t.match(await k('delete', '-f', all), /"web-0" deleted[\s\S]*"web" deleted[\s\S]*"dep" deleted/);
  t.equal(await k('get', 'pods,svc,deploy', '-o', 'name'), '');
  await create(t, k);
}

/** From 1.32 on these bodies are protobuf. */
async function create(t: Test, k: (...words: string[]) => Promise<string>): Promise<void> {
  t.match(await k('create', 'configmap', 'settings', '--from-literal=a=b'), /configmap\/settings created/);
  t.match(await k('create', 'deployment', 'made', '--image=nginx', '--replicas=2', '--port=80'), /made created/);
  t.match(await k('create', 'service', 'nodeport', 'made', '--tcp=80:http'), /service\/made created/);
  t.match(
    await k('create', 'ingress', 'made', '--rule=a.example/*=made:80'),
    /ingress.networking.k8s.io\/made created/,
  );
  const replicas = 'jsonpath={.spec.replicas} {.spec.template.spec.containers[*].ports[*].containerPort}';
  t.equal(await k('get', 'deployment', 'made', '-o', replicas), '2 80');
  t.equal(await k('get', 'configmap', 'settings', '-o', 'jsonpath={.data.a}'), 'b');
  t.equal(await k('get', 'service', 'made', '-o', 'jsonpath={.spec.ports[0].targetPort}'), 'http');
  t.match(await k('delete', 'deployment,service,ingress,configmap', '--all'), /"made" deleted/);
}
