/** What every cluster has to do, whatever its store and whoever runs it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { ApiClient } from '../../src/kube/api-client.ts';
import { readKubeconfig } from '../../src/kube/kubeconfig.ts';
import type { ClusterLab } from './cluster-lab.ts';
import { until } from './test-lab.ts';
import { DEPLOYMENT } from './tutorials.ts';

/** The goals are for a machine that does nothing else: this one may be slower so many times. */
const SLACK = 3;
const WRITE_MS = 20;

const PROBED = `apiVersion: apps/v1
kind: Deployment
metadata: {name: probed}
spec:
  replicas: 3
  selector: {matchLabels: {app: probed}}
  template:
    metadata: {labels: {app: probed}}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
        - name: c
          image: registry.k8s.io/e2e-test-images/agnhost:2.47
          args: [netexec, --http-port=8080]
          readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: probed}
spec: {selector: {app: probed}, ports: [{port: 80, targetPort: 8080}]}
`;

export function figure(t: Test, what: string, ms: number, goalMs: number): void {
  t.comment(`${what}: ${Math.round(ms)} ms, to be under ${goalMs} ms`);
  t.ok(ms < goalMs * SLACK, `${what}: ${Math.round(ms)} ms`);
}

/** The tutorials' Deployment of 3 with its Service; it stays. Resolves with the milliseconds from apply to the first answer. */
export async function deploymentAnswers(t: Test, cluster: ClusterLab): Promise<number> {
  const began = performance.now();
  await cluster.apply('deployment', DEPLOYMENT);
  const address = await cluster.kubectl('get', 'svc', 'my-nginx', '-o', 'jsonpath={.spec.clusterIP}');
  const script = `until curl -sm 1 -o /dev/null http://${address}/; do sleep 0.02; done`;
  await cluster.lab.must('client-1', ['sh', '-c', script]);
  const ms = performance.now() - began;
  t.match(
    await cluster.kubectl('rollout', 'status', 'deploy/nginx-deployment', '--timeout=20s'),
    /successfully rolled out/,
  );
  t.match(await cluster.kubectl('get', 'deploy', 'nginx-deployment'), /3\/3 +3 +3/);
  return ms;
}

/** A Deployment of 3 with readiness probes, and the Service `probed`; known to every host. */
export async function deployProbed(cluster: ClusterLab): Promise<void> {
  await cluster.apply('probed', PROBED);
  await cluster.kubectl('rollout', 'status', 'deploy/probed', '--timeout=30s');
  await cluster.onEveryHost('probed', 'all hosts know three endpoints', 10_000, allThree);
}

export function allThree(targets: readonly string[]): boolean {
  return targets.length === 3;
}

/** Rolls `probed` out while its API server is killed: all of it takes place, and nothing that was acknowledged is lost. */
export async function rolloutWithoutServer(t: Test, cluster: ClusterLab): Promise<void> {
  const { lab } = cluster;
  const writer = new Writer(cluster);
  await cluster.kubectl('set', 'env', 'deploy/probed', 'ROUND=2');
  await cluster.killApiServer();
  // kubectl gives up a server that takes 10 s to begin.
  await until('it is served again', 60_000, async () => {
    return (await cluster.kubectl('get', '--raw', '/readyz').catch(String)) === 'ok';
  });
  t.match(await cluster.kubectl('rollout', 'status', 'deploy/probed', '--timeout=40s'), /successfully rolled out/);
  t.match(await cluster.kubectl('get', 'deploy', 'probed'), /3\/3 +3 +3/);
  const round = 'jsonpath={.items[*].spec.containers[0].env[0].value}';
  await until('old pods are gone', 20_000, async () => {
    return (await cluster.kubectl('get', 'pods', '-l', 'app=probed', '-o', round)) === '2 2 2';
  });
  t.equal(lab.lab.state()?.apiServer?.starts, 2);
  t.match(await lab.must('client-0', ['curl', '-sm', '5', 'http://probed/hostname']), /^probed-/);
  const { acknowledged, refused } = await writer.stop();
  const kept = (await cluster.kubectl('get', 'cm', '-l', 'app=written', '-o', 'name')).split('\n');
  const lost = acknowledged.filter((name) => !kept.includes(`configmap/${name}`));
  t.same(lost, [], `of ${acknowledged.length} acknowledged writes, beside ${refused} that were not`);
  t.ok(acknowledged.length > 20);
}

/** Makes ConfigMaps one after the other, from outside. */
class Writer {
  readonly #client: ApiClient;
  readonly #acknowledged: string[] = [];
  #refused = 0;
  #stopped = false;
  readonly #done: Promise<void>;

  constructor(cluster: ClusterLab) {
    this.#client = new ApiClient(readKubeconfig(cluster.lab.lab.kubeconfig));
    this.#done = this.#write();
  }

  async stop(): Promise<{ acknowledged: readonly string[]; refused: number }> {
    this.#stopped = true;
    await this.#done;
    this.#client.close();
    return { acknowledged: this.#acknowledged, refused: this.#refused };
  }

  async #write(): Promise<void> {
    for (let i = 0; !this.#stopped; i++) {
      const metadata = { name: `written-${i}`, labels: { app: 'written' } };
      const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata };
      try {
        await this.#client.post('/api/v1/namespaces/default/configmaps', body, { timeoutMs: 5000 });
        this.#acknowledged.push(metadata.name);
      } catch {
        // Whether it took place, nobody said.
        this.#refused++;
      }
      await sleep(WRITE_MS);
    }
  }
}
