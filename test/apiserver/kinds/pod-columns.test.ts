/** A pod in a row of kubectl get, in the states that people look for. */
import t from 'tap';
import type { ApiObject } from '../../../src/apiserver/api-object.ts';
import { POD_COLUMNS } from '../../../src/apiserver/kinds/pod-columns.ts';

const running = { running: { startedAt: '2026-11-21T09:00:00Z' } };
const ended = (exitCode: number, reason = exitCode === 0 ? 'Completed' : 'Error') => ({
  terminated: { exitCode, reason },
});
const waiting = (reason: string) => ({ waiting: { reason } });
const container = (state: object, more: object = {}) => ({ name: 'c', restartCount: 0, ready: false, state, ...more });

function row(status: object, spec: object = {}, metadata: object = {}): string {
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', ...metadata },
    spec: { containers: [{ name: 'c' }], ...spec },
    status: { phase: 'Running', ...status },
  } as unknown as ApiObject;
  return POD_COLUMNS.map((column) => column.cell(pod)).join(' ');
}

t.test('containers', async (t) => {
  t.equal(row({ phase: 'Pending' }), '0/1 Pending 0');
  t.equal(row({ containerStatuses: [container(running, { ready: true })] }), '1/1 Running 0');
  t.equal(row({ containerStatuses: [container(running)] }), '0/1 Running 0');
  t.equal(
    row({ phase: 'Pending', containerStatuses: [container(waiting('ErrImageNeverPull'))] }),
    '0/1 ErrImageNeverPull 0',
  );
  t.equal(row({ phase: 'Succeeded', containerStatuses: [container(ended(0))] }), '0/1 Completed 0');
  t.equal(row({ containerStatuses: [container({ terminated: { exitCode: 3, reason: '' } })] }), '0/1 ExitCode:3 0');
  t.equal(row({ containerStatuses: [container({ terminated: { exitCode: 9, signal: 9 } })] }), '0/1 Signal:9 0');
  const finishedAt = new Date(Date.now() - 30_500).toISOString();
  const crashing = container(waiting('CrashLoopBackOff'), {
    restartCount: 4,
    lastState: { terminated: { finishedAt } },
  });
  t.equal(row({ containerStatuses: [crashing] }), '0/1 CrashLoopBackOff 4 (30s ago)');
  const half = [container(ended(0)), container(running, { ready: true })];
  t.equal(row({ containerStatuses: half }), '1/1 NotReady 0');
  t.equal(row({ containerStatuses: half, conditions: [{ type: 'Ready', status: 'True' }] }), '1/1 Running 0');
  t.equal(row({ reason: 'Evicted', phase: 'Failed' }), '0/1 Evicted 0');
});

t.test('init containers and sidecars', async (t) => {
  const spec = { initContainers: [{ name: 'a' }, { name: 'b' }] };
  const init = (...states: object[]) => ({
    phase: 'Pending',
    initContainerStatuses: states.map((state, i) => ({ ...container(state), name: 'ab'[i] })),
    containerStatuses: [container(waiting('PodInitializing'))],
  });
  t.equal(row(init(running, waiting('PodInitializing')), spec), '0/1 Init:0/2 0');
  t.equal(row(init(ended(0), waiting('PodInitializing')), spec), '0/1 Init:1/2 0');
  t.equal(row(init(ended(0), ended(1)), spec), '0/1 Init:Error 0');
  t.equal(row(init(waiting('CrashLoopBackOff'), waiting('PodInitializing')), spec), '0/1 Init:CrashLoopBackOff 0');
  t.equal(row(init(ended(0), ended(0)), spec), '0/1 PodInitializing 0');
  const sidecar = {
    initContainerStatuses: [container(running, { name: 'a', started: true, ready: true })],
    containerStatuses: [container(running, { ready: true })],
  };
  const sidecarSpec = { initContainers: [{ name: 'a', restartPolicy: 'Always' }] };
  t.equal(row(sidecar, sidecarSpec), '2/2 Running 0');
  const over = {
    phase: 'Succeeded',
    conditions: [{ type: 'Initialized', status: 'True' }],
    initContainerStatuses: [container(ended(143), { name: 'a', restartCount: 1 })],
    containerStatuses: [container(ended(0), { restartCount: 2 })],
  };
  t.equal(row(over, sidecarSpec), '0/2 Completed 3', 'a sidecar is ended by SIGTERM');
  const crashing = {
    ...sidecar,
    conditions: over.conditions,
    initContainerStatuses: [container(waiting('CrashLoopBackOff'), { name: 'a' })],
  };
  t.equal(row(crashing, sidecarSpec), '1/2 Init:CrashLoopBackOff 0');
});

t.test('a pod that is deleted', async (t) => {
  const deleted = { deletionTimestamp: '2026-11-21T09:00:00Z' };
  t.equal(row({ containerStatuses: [container(running)] }, {}, deleted), '0/1 Terminating 0');
  t.equal(row({ phase: 'Failed', containerStatuses: [container(ended(1))] }, {}, deleted), '0/1 Error 0');
});
