/** A container that takes input, without a pod: its command under a weft_container of its own, as an agent runs it. */
import { join } from 'node:path';
import { kill } from 'node:process';
import type { Container } from 'kubernetes-types/core/v1.js';
import type { Test } from 'tap';
import { ContainerProcess } from '../../../src/agent/pods/container.ts';
import type { AttachedRun } from '../../../src/agent/pods/container-attachment.ts';
import { findTools } from '../../../src/agent/pods/container-command.ts';
import { inputKind } from '../../../src/agent/pods/container-launch.ts';
import type { ContainerPlan } from '../../../src/agent/pods/pod-plan.ts';
import { logName, newContainerState, socketName } from '../../../src/agent/pods/pod-state.ts';
import { isRunning } from '../../../src/agent/pods/process-table.ts';

export type Reading = Pick<Container, 'stdin' | 'stdinOnce' | 'tty'>;

export interface ReadingContainer {
  process: ContainerProcess;
  spec: Container;
  run: AttachedRun;
}

/** Begins; ends with the test. */
export function startContainer(t: Test, folder: string, script: string, reading: Reading): ReadingContainer {
  const spec: Container = { name: 'c', ...reading };
  const state = newContainerState('c');
  const command = ['/bin/sh', '-c', script];
  const plan: ContainerPlan = { name: 'c', role: 'main', restartPolicy: 'Never', image: '', command, spec };
  const site = {
    folder,
    command: ({ log, exit, socket }: { log: string; exit: string; socket: string }) => {
      const kind = inputKind(spec);
      const input = kind === 'none' ? [] : ['--input', kind, socket];
      const args = ['run', '--log', log, '1000000', '5', '--exit', exit, ...input, '--', ...command];
      return { file: findTools().container, args, env: { PATH: '/usr/bin:/bin' } };
    },
  };
  const events = { changed: () => {}, started: () => {}, ended: () => {}, refused: () => {}, outdated: () => {} };
  const process = new ContainerProcess(plan, state, site, events);
  t.teardown(() => {
    const { shimPid: pid, shimTicks: startTicks } = process.state;
    if (pid > 0 && isRunning({ pid, startTicks })) kill(pid, 'SIGKILL');
  });
  process.begin();
  const run = {
    path: join(folder, logName(state)),
    socket: join(folder, socketName(state)),
    isOver: () => state.shimPid === 0,
    isStarting: () => state.shimPid > 0 && state.pid === 0,
  };
  return { process, spec, run };
}
