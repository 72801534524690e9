/**
 * End to end: a lab that kubectl drives. The tutorials' manifests serve; what the cluster is asked to do happens in
 * time, while hosts, pods and the API server itself come and go.
 */
import t from 'tap';
import type { HttpLoadResult } from '../../src/lab/http-load.ts';
import { ClusterLab, noKubectl } from './cluster-lab.ts';
import { allThree, deploymentAnswers, deployProbed, figure, rolloutWithoutServer } from './cluster-parts.ts';
import { noLab, ownHome, until } from './test-lab.ts';
import { DEPLOYMENT, NAMED_PORT, STATEFUL_SET } from './tutorials.ts';

const skip = noLab() || noKubectl();

t.test('a cluster that kubectl drives', { skip, timeout: 300_000 }, async (t) => {
  const cluster = await ClusterLab.up(ownHome());
  const { lab } = cluster;

  await t.test('a Pod and a Service that names its port', async (t) => {
    t.match(await cluster.apply('named-port', NAMED_PORT), /pod\/nginx created\nservice\/nginx-service created/);
    await cluster.kubectl('wait', '--for=condition=Ready', 'pod/nginx', '--timeout=20s');
    const page = await lab.must('client-0', [
      'curl',
      '-sm',
      '5',
      '--retry',
      '5',
      '--retry-connrefused',
      'http://nginx-service/',
    ]);
    t.match(page, /nginx/);
    t.match(await cluster.kubectl('delete', '-f', cluster.file('named-port', NAMED_PORT)), /pod "nginx" deleted/);
  });

  await t.test('a Deployment of 3 answers', async (t) => {
    figure(t, 'from kubectl apply to the first answer', await deploymentAnswers(t, cluster), 2000);
    const nodes = await cluster.kubectl('get', 'pods', '-l', 'app=nginx', '-o', 'jsonpath={.items[*].spec.nodeName}');
    t.same(nodes.split(' ').sort(), ['hosta', 'hostb', 'hostc'], 'spread');
    await cluster.kubectl('delete', '-f', cluster.file('deployment', DEPLOYMENT));
  });

  await t.test('a headless StatefulSet has names', async () => {
    await cluster.apply('stateful-set', STATEFUL_SET);
    await cluster.kubectl('rollout', 'status', 'statefulset/web', '--timeout=30s');
    for (const name of ['web-0.nginx', 'web-1.nginx']) {
      await until(`${name} answers`, 5000, async () => {
        const { code, stdout } = await lab.run('client-2', ['curl', '-sm', '2', `http://${name}/`]);
        return code === 0 && /nginx/.test(stdout);
      });
    }
    await cluster.kubectl('delete', '-f', cluster.file('stateful-set', STATEFUL_SET));
  });

  await deployProbed(cluster);

  await t.test('a backend that is killed leaves every table, and no connection fails', async (t) => {
    const { hosts } = await lab.status();
    const victim = hosts.flatMap(({ status }) => status?.pods ?? []).find(({ name }) => name.startsWith('probed'));
    const pid = victim?.containers[0]?.pid ?? 0;
    const load = lab.tool<HttpLoadResult>('client-0', [
      'http-load',
      'http://probed/hostname',
      '--requests',
      '600',
      '--per-second',
      '200',
    ]);
    const began = performance.now();
    await lab.inside(['kill', '-9', `${pid}`]);
    const without = (targets: readonly string[]) => !targets.some((target) => target.startsWith(`${victim?.address}:`));
    await cluster.onEveryHost('probed', 'it has left', 10_000, without);
    figure(t, 'from kill -9 of a backend to the last table without it', performance.now() - began, 1000);
    const { failed, failures } = await load;
    t.equal(failed, 0, JSON.stringify(failures));
    await cluster.onEveryHost('probed', 'it is back', 20_000, allThree);
  });

  await t.test('the endpoints of a host that is silent go everywhere, and come back', async (t) => {
    const { hosts } = await lab.status();
    const silent = hosts.find(({ name }) => name === 'hostc');
    const address = silent?.status?.pods.find(({ name }) => name.startsWith('probed'))?.address ?? '';
    const agent = `${silent?.agentPid}`;
    const began = performance.now();
    await lab.inside(['kill', '-STOP', agent]);
    try {
      const without = (targets: readonly string[]) => !targets.some((target) => target.startsWith(`${address}:`));
      await cluster.onEveryHost('probed', 'they have gone', 20_000, without, ['hostc']);
      figure(t, 'from a dead agent to its endpoints gone everywhere', performance.now() - began, 6000);
      t.match(await cluster.kubectl('get', 'node', 'hostc'), /NotReady|Unknown/);
    } finally {
      await lab.inside(['kill', '-CONT', agent]);
    }
    await cluster.onEveryHost('probed', 'they are back', 20_000, allThree);
  });

  await t.test('an API server that is killed in the middle of a rollout', (t) => rolloutWithoutServer(t, cluster));

  await t.test('logs, exec, scale, run', async (t) => {
    const once = ['--rm', '-i', '--restart=Never', '--image=busybox', '--', 'sh', '-c', 'echo one; sleep 1; echo two'];
    t.match(await cluster.kubectl('run', 'once', ...once), /^one\ntwo\npod "once" deleted/);
    const typed = [
      'run',
      'typed',
      '--rm',
      '-i',
      '--restart=Never',
      '--image=busybox',
      '--',
      'sh',
      '-c',
      'sort; exit 3',
    ];
    const sorted = cluster.kubectlReading('b\na\n', ...typed);
    await t.rejects(sorted, { message: /terminated \(Error\)/ }, "its exit code is the command's");
    const shell = ['run', 'shell', '--rm', '-i', '--restart=Never', '--image=busybox'];
    t.match(await cluster.kubectlReading('hostname\nexit\n', ...shell), /^shell\npod "shell" deleted/);
    const [pod = ''] = (await cluster.kubectl('get', 'pods', '-l', 'app=probed', '-o', 'name')).split('\n');
    t.equal(await cluster.kubectl('exec', pod, '--', 'hostname'), `${pod.replace('pod/', '')}\n`);
    await cluster.apply(
      'talks',
      'apiVersion: v1\nkind: Pod\nmetadata: {name: talks}\nspec: {containers: [{name: c, image: busybox, command: [sh, -c, "echo one; echo two; sleep 1000"]}], terminationGracePeriodSeconds: 0}\n',
    );
    await cluster.kubectl('wait', '--for=condition=Ready', 'pod/talks', '--timeout=20s');
    t.equal(await cluster.kubectl('logs', 'talks', '--tail=1'), 'two\n');
    await cluster.kubectl('scale', 'deploy/probed', '--replicas=1');
    await cluster.onEveryHost('probed', 'one is left', 20_000, (targets) => targets.length === 1);
    await cluster.kubectl('delete', 'deploy,svc', 'probed', 'probed', '--ignore-not-found');
  });

  await t.test('manifests of the lab are watched', async (t) => {
    const map = (value: string) => `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: written}\ndata: {a: ${value}}\n`;
    const read = () => cluster.kubectl('get', 'cm', 'written', '--ignore-not-found', '-o', 'jsonpath={.data.a}');
    lab.manifest('written.yaml', map('one'));
    await until('it is there', 10_000, async () => (await read()) === 'one');
    lab.manifest(
      'written.yaml',
      `${map('two')}---\napiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {ports: [{port: 0}]}\n`,
    );
    await until('it has changed', 10_000, async () => (await read()) === 'two');
    const { apiServer } = await lab.status();
    t.match(apiServer?.problems, [
      { place: /written\.yaml:9$/, message: /Service default\/bad: spec\.ports\[0\]\.port/ },
    ]);
    lab.manifest('written.yaml', undefined);
    await until('it has gone', 10_000, async () => (await read()) === '');
  });
});
