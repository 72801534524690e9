/**
 * End to end: pods with networks of their own. Containers that share one, images that stand for programs, probes over
 * the network, and all of it still there after the agent was killed.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { noLab, ownHome, TestLab, until, weft } from './test-lab.ts';

const skip = noLab();

const PODS = `apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {greeting: hello}
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec:
  clusterIP: 10.96.7.7
  selector: {app: shop}
  ports: [{port: 80, targetPort: web}]
---
apiVersion: v1
kind: Pod
metadata: {name: shop, labels: {app: shop}}
spec:
  nodeName: hosta
  hostname: till
  initContainers:
    - {name: first, image: busybox, command: [sh, -c, "echo prepared by $(hostname)"]}
  containers:
    - name: web
      image: registry.example/library/nginx:1.25
      ports: [{name: web, containerPort: 80}]
      readinessProbe: {httpGet: {path: /, port: web}, periodSeconds: 1}
      livenessProbe: {tcpSocket: {port: web}, periodSeconds: 1}
    - name: tool
      image: registry.k8s.io/e2e-test-images/agnhost:2.47
      args: [netexec, --http-port=8080, --udp-port=8081]
      env:
        - {name: GREETING, valueFrom: {configMapKeyRef: {name: settings, key: greeting}}}
`;
const ONCE = `apiVersion: v1
kind: Pod
metadata: {name: once}
spec:
  nodeName: hosta
  restartPolicy: Never
  containers: [{name: c, image: agnhost, args: [connect, "shop:80", --timeout=5s]}]
`;

t.test('pods', { skip, timeout: 120_000 }, async (t) => {
  const file = join(ownHome(), 'pods.yaml');
  writeFileSync(file, PODS);
  const lab = await TestLab.up({ hosts: 1, manifests: [file] });
  const pod = async (name = 'shop') => {
    const pods = (await lab.status()).hosts[0]?.status?.pods ?? [];
    return pods.find((each) => each.name === name);
  };
  const before = await pod();
  t.match(before, { phase: 'Running', ready: true });

  const inPod = (script: string) => lab.must('shop', ['sh', '-c', script]);
  t.match(await inPod('curl -s http://localhost/'), 'Welcome to nginx!', 'containers reach each other by localhost');
  t.equal(await inPod('curl -s http://localhost:8080/hostname'), 'till', 'and share the host name');
  t.match(await inPod('curl -s http://$SHOP_SERVICE_HOST/'), 'Welcome to nginx!', 'the service of its variables');
  lab.manifest('once.yaml', ONCE);
  await until('the client to have reached the service', 10_000, async () => (await pod('once'))?.phase === 'Succeeded');
  const tool = before?.containers.find((each) => each.name === 'tool');
  t.match(tool?.env, { GREETING: 'hello', SHOP_SERVICE_HOST: '10.96.7.7' });
  const said = (await weft(['lab', 'logs', 'shop'])).stdout;
  t.match(said, /^prepared by till$/m);
  t.match(said, /"GET \/ HTTP\/1\.1" 200 \d+ "-" "kube-probe\//, 'its probe comes from the host');

  const state = lab.lab.state()?.hosts.hosta;
  await lab.inside(['kill', '-9', `${state?.agent}`]);
  await until('the next agent', 20_000, async () => {
    const starts = lab.lab.state()?.hosts.hosta?.starts ?? 0;
    return starts === 2 && (await pod())?.ready === true;
  });
  const after = await pod();
  t.same(
    after?.containers.map(({ name, pid, restarts }) => ({ name, pid, restarts })),
    before?.containers.map(({ name, pid, restarts }) => ({ name, pid, restarts })),
    'the next agent took everything up',
  );
  t.equal((await pod('once'))?.phase, 'Succeeded', 'what was done is not done again');
  t.match(await inPod('curl -s http://localhost/'), 'Welcome to nginx!');

  await lab.inside(['kill', '-9', `${after?.containers.find((each) => each.name === 'web')?.pid}`]);
  await until('nginx to run again', 10_000, async () => {
    const web = (await pod())?.containers.find((each) => each.name === 'web');
    return web?.restarts === 1 && (await pod())?.ready === true;
  });
  t.equal((await pod())?.containers.find((each) => each.name === 'tool')?.restarts, 0, 'the other one ran on');
});
