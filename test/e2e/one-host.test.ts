/**
 * End to end: one host's agent by itself, and what its kernel has of services while it runs, after its underlay went
 * down, after it was killed and after it was stopped.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { run } from '../../src/lab/run.ts';
import { weftCommand } from '../../src/lab/weft-command.ts';
import { noLab, until, without } from './test-lab.ts';

const skip = noLab() || without('nft', 'unshare', 'nsenter');
const NODE = `apiVersion: v1
kind: Node
metadata: {name: alone}
spec: {podCIDR: 10.244.1.0/24, podCIDRs: [10.244.1.0/24, "fd00:10:244:1::/64"]}
status: {addresses: [{type: InternalIP, address: 172.31.9.1}, {type: InternalIP, address: "fd00:172:31:9::1"}]}
`;
const service = (name: string, address: string) => `apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  ipFamilies: [${address.includes(':') ? 'IPv6' : 'IPv4'}]
  loadBalancerIP: "${address}"
  ports: [{port: 80}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: ${name}-1, labels: {kubernetes.io/service-name: ${name}}}
addressType: ${address.includes(':') ? 'IPv6' : 'IPv4'}
endpoints: [{addresses: ["${address.includes(':') ? 'fd00:10:244:1::9' : '10.244.1.9'}"], nodeName: alone}]
ports: [{port: 80}]
`;
const FOUR = '172.31.9.20';
const SIX = 'fd00:172:31:9::20';
const MADE = `exec 2>&1
nft list tables; ip -4 neigh show proxy; ip -6 neigh show proxy; ip route show proto 119; ip -6 route show proto 119; ss -Hltn`;

t.test('what the kernel has of services', { skip, timeout: 120_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-one-'));
  // A namespace that stays while agents come and go.
  const holder = spawn('unshare', ['--user', '--map-root-user', '--net', '--', 'sleep', '1000'], { stdio: 'ignore' });
  let agent: ChildProcess | undefined;
  t.teardown(() => {
    agent?.kill('SIGKILL');
    holder.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });
  const enter = ['--target', `${holder.pid}`, '--user', '--net', '--preserve-credentials', '--'];
  const inside = async (script: string) => {
    const result = await run({ file: 'nsenter', args: enter, env: process.env }, ['sh', '-c', script]);
    return result.stdout;
  };
  await until('the namespace is there', 5000, async () => /lo/.test(await inside('ip -o link | wc -l; ip -o link')));
  await inside(`ip link set lo up
    ip link add under0 type veth peer name wire0
    ip link set under0 up; ip link set wire0 up
    ip addr add 172.31.9.1/24 dev under0; ip -6 addr add fd00:172:31:9::1/64 dev under0 nodad`);
  writeFileSync(join(folder, 'node.yaml'), NODE);
  writeFileSync(join(folder, 'four.yaml'), service('four', FOUR));
  writeFileSync(join(folder, 'six.yaml'), service('six', SIX));
  const start = () => {
    const words = ['agent', '--node', 'alone', '--manifests', folder, '--state-dir', join(folder, 'state')];
    agent = spawn('nsenter', [...enter, ...weftCommand(), ...words], { stdio: 'ignore' });
  };
  const announced = async () => {
    const made = await inside(MADE);
    return (made.includes(`${FOUR} dev under0`) && made.includes(`${SIX} dev under0`)) || made;
  };
  const before = await inside(MADE);

  start();
  await until('both addresses are announced', 20_000, announced);
  t.match(await inside(MADE), /table ip weft-services[\s\S]*table ip6 weft-services/);

  await inside('ip link set under0 down; ip link set under0 up; ip -6 addr add fd00:172:31:9::1/64 dev under0 nodad');
  t.notMatch(await inside('ip neigh show proxy'), FOUR, 'a device that goes down forgets them');
  await until('they are announced again', 25_000, announced);

  const gone = new Promise((done) => agent?.once('exit', done));
  agent?.kill('SIGKILL');
  await gone;
  rmSync(join(folder, 'six.yaml'));
  start();
  await until('the next agent takes away what is not wanted any more', 20_000, async () => {
    const made = await inside(MADE);
    return (
      (made.includes('table ip weft-services') && !/ip6 weft-services|fd00:172:31:9::20|7400::/.test(made)) || made
    );
  });
  t.match(await inside(MADE), `${FOUR} dev under0`, 'and keeps what is');

  const ended = new Promise((done) => agent?.once('exit', done));
  agent?.kill('SIGTERM');
  t.equal(await ended, 0);
  t.equal(await inside(MADE), before, 'an agent that ends takes everything with it');
});
