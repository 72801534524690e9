/** Which pod a word means, and what entering it takes. */
import t from 'tap';
import { enterPod } from '../../../src/agent/pods/enter-pod.ts';
import type { ContainerStatus, PodStatus } from '../../../src/agent/status.ts';

const container = (pid: number, reason = ''): ContainerStatus => ({
  name: 'c',
  state: pid > 0 ? 'running' : 'waiting',
  pid,
  restarts: 0,
  exitCode: -1,
  reason,
  startedAt: '',
  env: { PATH: '/bin', HOSTNAME: 'web-0' },
  workingDir: '/',
  log: '',
});
const pod = (namespace: string, name: string, ...containers: ContainerStatus[]): PodStatus => ({
  namespace,
  name,
  addresses: [],
  address: '10.244.1.9',
  hostNetwork: false,
  hostname: name,
  phase: 'Running',
  ready: true,
  netns: '',
  directory: '',
  port: 16,
  message: '',
  notes: [],
  containers,
});

const status = {
  node: 'hosta',
  pods: [
    pod('shop', 'web-0', container(30)),
    pod('default', 'web-0', container(0), container(10)),
    pod('a', 'twice', container(40)),
    pod('b', 'twice', container(41)),
    pod('a', 'once', container(50)),
    pod('default', 'crashed', container(0, 'CrashLoopBackOff: ended with code 1')),
  ],
};
const pidOf = (target: string) => enterPod(status, target).args[1];

t.test('a pod is found by its name, in the namespace default first', async (t) => {
  t.equal(pidOf('web-0'), '10', 'by the first process that runs');
  t.equal(pidOf('shop/web-0'), '30');
  t.equal(pidOf('once'), '50');
  t.equal(pidOf('b/twice'), '41');
});

t.test('what cannot be meant is said', async (t) => {
  t.throws(() => enterPod(status, 'twice'), { code: 'no-pod', remedy: 'say which: a/twice, b/twice' });
  t.throws(() => enterPod(status, 'web-1'), { code: 'no-pod', message: 'no pod web-1 runs on hosta' });
  t.throws(() => enterPod({ node: 'hosta', pods: [] }, 'web-1'), { code: 'no-pod', remedy: 'it runs none' });
  t.throws(() => enterPod(status, 'crashed'), { code: 'pod-not-running', message: /CrashLoopBackOff/ });
});

t.test('a command gets what the container has, and the terminal', async (t) => {
  const entry = enterPod(status, 'shop/web-0', 'xterm');
  t.match(entry.file, /nsenter$/);
  t.same(entry.args, ['-t', '30', '-m', '-n', '-u', '--']);
  t.same(entry.env, { TERM: 'xterm', PATH: '/bin', HOSTNAME: 'web-0' });
});
