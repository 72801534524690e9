/**
 * End to end: one host's agent that follows an API server by itself: its Node, its pod, a service, the pod's log and a
 * command in it; the server killed, the agent killed while the server is away, the server back; the same host with pods
 * that another runtime runs.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { childrenOf } from '../../src/agent/pods/process-table.ts';
import { readKubeconfig } from '../../src/kube/kubeconfig.ts';
import { signalCommand } from '../../src/lab/exec.ts';
import { run } from '../../src/lab/run.ts';
import { weftCommand } from '../../src/lab/weft-command.ts';
import { noLab, until, without } from './test-lab.ts';

const skip = noLab() || without('nft', 'unshare', 'nsenter', 'curl');
const SERVER = 'https://127.0.0.1:6443';
const HOST = '172.31.9.1';
const PODS = '/api/v1/namespaces/default/pods';

function pod(name: string) {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: 'web' } },
    spec: {
      nodeName: 'alone',
      terminationGracePeriodSeconds: 2,
      containers: [{ name: 'c', command: ['sh', '-c', 'echo begins; exec weft netexec --http-port=80'] }],
    },
  };
}

const SERVICE = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web' },
  spec: { clusterIP: '10.96.0.77', selector: { app: 'web' }, ports: [{ port: 80 }] },
};

t.test('an agent and its API server, each without the other for a while', { skip, timeout: 180_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-api-'));
  const data = join(folder, 'data');
  // Its first process reaps what loses its parent; with it all others end, pods too, whatever fails.
  const namespaces = ['--user', '--map-root-user', '--net', '--mount', '--mount-proc', '--pid', '--fork'];
  const holder = spawn('unshare', [...namespaces, '--kill-child', 'sh', '-c', 'sleep 1000 & wait'], {
    stdio: 'ignore',
  });
  t.teardown(() => {
    holder.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  });
  await until('its first process is there', 5000, async () => childrenOf(holder.pid ?? 0).length > 0);
  const [first] = childrenOf(holder.pid ?? 0);
  const enter = ['--target', `${first}`, '--user', '--net', '--mount', '--pid', '--preserve-credentials', '--'];
  const inside = async (...words: string[]) => {
    const result = await run({ file: 'nsenter', args: enter, env: process.env }, words, { timeoutMs: 10_000 });
    return result.stdout;
  };
  const start = (words: string[]) => spawn('nsenter', [...enter, ...weftCommand(), ...words], { stdio: 'ignore' });
  const end = (child: ChildProcess, signal: NodeJS.Signals) => {
    const gone = new Promise((done) => child.once('exit', done));
    signalCommand(child.pid, signal);
    return gone;
  };
  await until('the namespace is there', 5000, async () => /lo/.test(await inside('ip', '-o', 'link')));
  await inside(
    'sh',
    '-c',
    `mount -t tmpfs none /run; ip link set lo up
    ip link add under0 type veth peer name wire0
    ip link set under0 up; ip link set wire0 up; ip addr add ${HOST}/24 dev under0`,
  );

  const startServer = () => start(['apiserver', '--data', data, '--name', HOST]);
  const agentWords = () => [
    'agent',
    '--node',
    'alone',
    '--kubeconfig',
    kubeconfig,
    '--state-dir',
    join(folder, 'state'),
  ];
  const startAgent = () => start(agentWords());
  const kubeconfig = join(folder, 'alone.kubeconfig');
  let server = startServer();
  const api = async (method: string, path: string, body?: object) => {
    const { authority = '', certificate = '', key = '' } = readKubeconfig(join(data, 'admin.kubeconfig'));
    for (const [name, text] of Object.entries({ authority, certificate, key })) writeFileSync(join(folder, name), text);
    const tls = [
      '--cacert',
      join(folder, 'authority'),
      '--cert',
      join(folder, 'certificate'),
      '--key',
      join(folder, 'key'),
    ];
    const sent = body ? ['-H', 'content-type: application/json', '-d', JSON.stringify(body)] : [];
    const text = await inside('curl', '-s', '-m', '5', ...tls, '-X', method, ...sent, `${SERVER}${path}`);
    return text.startsWith('{') ? JSON.parse(text) : {};
  };
  await until('the API server answers', 20_000, async () => {
    try {
      return (await api('GET', '/api')).kind === 'APIVersions';
    } catch {
      return false;
    }
  });
  const identity = await inside(...weftCommand(), 'kubeconfig', '--data', data, '--node', 'alone', '--server', SERVER);
  writeFileSync(kubeconfig, identity);
  let agent = startAgent();

  await until('the Node is ready', 20_000, async () => {
    const { status, spec } = await api('GET', '/api/v1/nodes/alone');
    const ready = status?.conditions?.find((c: { type: string }) => c.type === 'Ready');
    return (ready?.status === 'True' && spec?.podCIDR !== undefined) || JSON.stringify({ status, spec });
  });
  await api('POST', '/api/v1/namespaces/default/services', SERVICE);
  await api('POST', PODS, pod('web-1'));
  const running = (name: string) => async () => {
    const { status } = await api('GET', `${PODS}/${name}`);
    return (status?.phase === 'Running' && status.containerStatuses[0].ready) || JSON.stringify(status);
  };
  await until('the pod runs', 20_000, running('web-1'));
  const { status, metadata } = await api('GET', `${PODS}/web-1`);
  t.match(status.podIP, /^10\.244\./);
  t.equal(status.hostIP, HOST);
  const answer = () => inside('curl', '-s', '-m', '2', 'http://10.96.0.77/hostname');
  await until('the service answers', 10_000, async () => (await answer()) === 'web-1');
  const { items: events } = await api('GET', `/api/v1/namespaces/default/events`);
  t.ok(events.some((e: { involvedObject: { uid: string } }) => e.involvedObject.uid === metadata.uid));

  if (!without('kubectl')) {
    const kubectl = (...words: string[]) => inside('kubectl', '--kubeconfig', join(data, 'admin.kubeconfig'), ...words);
    t.match(await kubectl('logs', 'web-1', '--timestamps'), /^\d{4}-.*Z begins/);
    const seen = await kubectl('exec', 'web-1', '--', 'sh', '-c', 'hostname; ip -o address show eth0; cat /etc/hosts');
    t.match(seen, new RegExp(`^web-1\\n.*${status.podIP}/32`), "it runs in the pod's network, under its name");
    t.match(seen, new RegExp(`${status.podIP}\\s+web-1`), 'with its files');
  }

  const copy = join(folder, 'state', 'objects.jsonl');
  await until('all of it is copied', 20_000, async () =>
    readFileSync(copy, 'utf8').includes(`"addresses":["${status.podIP}"]`),
  );
  await end(server, 'SIGKILL');
  t.equal(await answer(), 'web-1', 'without the server');
  await end(agent, 'SIGKILL');
  agent = startAgent();
  const socket = join(folder, 'state', 'agent.sock');
  const agentSays = async () =>
    JSON.parse((await inside('curl', '-s', '--unix-socket', socket, 'http://a/status')) || '{}');
  await until('the agent is ready without the server', 20_000, async () => {
    const said = await agentSays();
    return said.ready === true || JSON.stringify(said);
  });
  t.equal(await answer(), 'web-1', 'an agent that began without the server');
  t.match(JSON.stringify((await agentSays()).problems), /is not followed since/);

  server = startServer();
  await until('the API server answers again', 20_000, async () => (await api('GET', '/api')).kind === 'APIVersions');
  const began = performance.now();
  await api('POST', PODS, pod('web-2'));
  await until('another pod runs', 20_000, running('web-2'));
  t.comment(`from its creation to Running in the API: ${Math.round(performance.now() - began)} ms`);
  const before = await api('GET', `${PODS}/web-1`);
  t.equal(before.metadata.uid, metadata.uid);
  t.equal(before.status.podIP, status.podIP, 'a pod keeps its address');
  t.equal(before.status.containerStatuses[0].restartCount, 0, 'and ran all the time');
  await until('nothing is wrong any more', 20_000, async () => {
    const { problems } = await agentSays();
    return !/API|Node|Pod/.test(JSON.stringify(problems)) || JSON.stringify(problems);
  });

  await api('DELETE', `${PODS}/web-1`);
  await until('the pod has gone', 20_000, async () => (await api('GET', `${PODS}/web-1`)).code === 404);
  await until(
    'its network too',
    10_000,
    async () => !(await inside('ls', '/run/netns')).includes('weft-default-web-1'),
  );
  await until('the other answers', 10_000, async () => (await answer()) === 'web-2');

  t.equal(await end(agent, 'SIGTERM'), 0);
  const { status: last } = await api('GET', '/api/v1/nodes/alone');
  t.match(last.conditions.find((c: { type: string }) => c.type === 'Ready').status, /False|Unknown/);

  agent = start([...agentWords(), '--no-pods']);
  await until('the Node is ready again', 20_000, async () => {
    const { status } = await api('GET', '/api/v1/nodes/alone');
    return status.conditions.find((c: { type: string }) => c.type === 'Ready').status === 'True';
  });
  // Another runtime's pod on the host's own network, and what that runtime says of it.
  const others = { ...pod('other'), metadata: { name: 'other', labels: { app: 'other' } } };
  await api('POST', PODS, { ...others, spec: { ...others.spec, hostNetwork: true } });
  const said = { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }], podIP: HOST, hostIP: HOST };
  const tell = async () => {
    const current = (await api('GET', `${PODS}/other`)) as object;
    await api('PUT', `${PODS}/other/status`, { ...current, status: { ...said, podIPs: [{ ip: HOST }] } });
  };
  const spec = { clusterIP: '10.96.0.78', selector: { app: 'other' }, ports: [{ port: 80, targetPort: 8099 }] };
  await api('POST', '/api/v1/namespaces/default/services', { ...SERVICE, metadata: { name: 'other' }, spec });
  start(['netexec', '--http-port=8099']);
  await until('a service of that pod answers', 20_000, async () => {
    // As a runtime does from time to time: on a busy machine the node may have been taken for dead in between.
    await tell();
    return (await inside('curl', '-s', '-m', '2', 'http://10.96.0.78/echo?msg=hello')) === 'hello';
  });
  t.notOk((await api('GET', `${PODS}/other`)).status.containerStatuses, 'the agent said nothing of the pod');
  t.notMatch(await inside('ls', '/run/netns'), /other/, 'and made nothing for it');
  t.equal(await end(agent, 'SIGTERM'), 0);
  await end(server, 'SIGTERM');
  t.ok(readFileSync(copy, 'utf8').length > 0, 'the copy stays for the next');
});
