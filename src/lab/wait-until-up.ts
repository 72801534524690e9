/**
 * Waits for a lab that was started: its holder, then its agents, then what its manifests say. Gives up as soon as something is known
 * to have failed, and then names it, with the end of its log.
 */
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { podDirectory } from '../agent/pods/pod-plan.ts';
import type { AgentStatus, PodStatus } from '../agent/status.ts';
import { applierStateFile, readApplierState } from '../apiserver/manifests/applier-state.ts';
import type { NamedObject } from '../kube/objects.ts';
import type { LabDir } from './lab-dir.ts';
import { LabError } from './lab-error.ts';
import { readLab } from './lab-status.ts';
import { containerFolders, containerLog, tail } from './logs.ts';
import type { Topology } from './topology.ts';
import { unreadyWorkloads } from './workload-readiness.ts';

const POLL_MS = 40;
const STEADY_MS = 300;
/** An agent that died this often before it was ready will not be. */
const HOPELESS_STARTS = 3;
const TAIL_LINES = 15;

/** What a lab is, and what is to run in it. */
export interface Wanted {
  topology: Topology;
  /** Keys of pods. */
  pods: readonly string[];
  /** Objects that make pods. */
  workloads: readonly NamedObject[];
}

export async function waitUntilUp(
  lab: LabDir,
  { topology, pods, workloads }: Wanted,
  holder: ChildProcess,
  report: (step: string) => void,
  timeoutMs: number,
): Promise<void> {
  const began = Date.now();
  const seconds = (): string => `${((Date.now() - began) / 1000).toFixed(1)} s`;
  await holderRuns(lab, holder, began + timeoutMs);
  let agentsReady = false;
  let steady = false;
  let waitsFor = '';
  while (Date.now() < began + timeoutMs) {
    if (holder.exitCode !== null || holder.signalCode !== null) throw holderFailed(lab);
    const statuses = await readLab(lab);
    const agents = topology.hosts.map((host) => statuses.hosts.find((each) => each.name === host.name));
    for (const agent of agents) {
      if (agent && !agent.status?.ready && agent.starts >= HOPELESS_STARTS) throw agentFailed(lab, agent.name);
    }
    const unready = agents.find((agent) => !agent?.status?.ready);
    if (unready === undefined) {
      if (!agentsReady) report(`${agents.length} agents ready after ${seconds()}`);
      agentsReady = true;
      const running = agents.flatMap((agent) => agent?.status ?? []);
      const waiting = (await podsToWaitFor(lab, pods, running)).map((pod) => `pod ${pod}`);
      if (waiting.length === 0 && topology.api) {
        if (readApplierState(applierStateFile(lab.apiServerDir))) {
          waiting.push(...(await unreadyWorkloads(lab.kubeconfig, workloads)));
        } else waiting.push('the manifests to be applied');
      }
      if (waiting.length === 0 && steady) {
        const count = workloads.length > 0 ? running.reduce((sum, { pods }) => sum + pods.length, 0) : pods.length;
        report(`${count} pods run after ${seconds()}`);
        return;
      }
      if (waiting.length > 0) waitsFor = waiting[0] ?? '';
      else {
        // What starts and falls over at once shall not pass for running.
        steady = true;
        await sleep(STEADY_MS);
      }
    } else {
      waitsFor = `agent ${unready?.name}: ${unready?.status?.notReady || 'does not answer'}`;
      if (unready)
        waitsFor += lastLines(lab.agentLog(unready.name))
          .map((line) => `\n${line}`)
          .join('');
    }
    await sleep(POLL_MS);
  }
  const [first = '', ...details] = waitsFor.split('\n');
  throw new LabError('WEFT_LAB_FAILED', `lab ${lab.name}: after ${seconds()} still waiting for ${first}`, details);
}

async function holderRuns(lab: LabDir, holder: ChildProcess, deadline: number): Promise<void> {
  let failure: Error | undefined;
  holder.once('error', (error) => {
    failure = error;
  });
  for (;;) {
    const state = lab.state();
    if (state?.phase === 'running') return;
    if (state?.phase === 'failed' || failure || holder.exitCode !== null || holder.signalCode !== null) {
      throw holderFailed(lab);
    }
    if (Date.now() > deadline) throw holderFailed(lab);
    await sleep(POLL_MS / 2);
  }
}

function holderFailed(lab: LabDir): LabError {
  const why = lab.state()?.error ?? 'its holder ended';
  return new LabError('WEFT_LAB_FAILED', `lab ${lab.name}: ${why}`, lastLines(lab.holderLog));
}

function agentFailed(lab: LabDir, host: string): LabError {
  const end = lab.state()?.hosts[host]?.lastEnd ?? 'it ended';
  return new LabError('WEFT_LAB_FAILED', `agent of ${host} does not stay up (${end})`, lastLines(lab.agentLog(host)));
}

/** Keys of the pods that do not run yet; throws for one that will not. One that did its work counts as up. */
async function podsToWaitFor(
  lab: LabDir,
  wanted: readonly string[],
  agents: readonly AgentStatus[],
): Promise<string[]> {
  const found = new Map<string, { pod: PodStatus; node: string }>();
  for (const agent of agents) {
    for (const pod of agent.pods) found.set(`${pod.namespace}/${pod.name}`, { pod, node: agent.node });
  }
  const waiting: string[] = [];
  for (const key of wanted) {
    const at = found.get(key);
    if (at === undefined) {
      waiting.push(key);
      continue;
    }
    const { pod, node } = at;
    const crashed = pod.containers.find((each) => each.restarts > 0 || (each.exitCode > 0 && each.state !== 'running'));
    if (pod.phase === 'Failed' || crashed !== undefined) throw await podFailed(lab, node, pod);
    if (pod.phase === 'Succeeded' || (pod.phase === 'Running' && pod.ready)) continue;
    const never = pod.containers.find((each) => each.state === 'waiting' && each.exitCode < 0 && each.reason !== '');
    if (pod.phase === 'Pending' && never) throw podNeverStarts(lab, node, pod, never.reason);
    waiting.push(pod.phase === 'Pending' && pod.message !== '' ? `${key}: ${pod.message}` : key);
  }
  return waiting;
}

/** Its object is not enough to run it: a container without a command. */
function podNeverStarts(lab: LabDir, node: string, pod: PodStatus, why: string): LabError {
  const message = `lab ${lab.name}: Pod ${pod.namespace}/${pod.name} on ${node} cannot run: ${why}`;
  return new LabError('WEFT_LAB_FAILED', message);
}

async function podFailed(lab: LabDir, node: string, pod: PodStatus): Promise<LabError> {
  const container = pod.containers.find((each) => each.exitCode > 0);
  const why =
    pod.message || (container ? `container ${container.name} ended with exit code ${container.exitCode}` : '');
  const message = `pod ${pod.namespace}/${pod.name} on ${node} failed: ${why || pod.phase}`;
  const said: string[] = [];
  const directory = podDirectory(lab.agentStateDir(node), pod.namespace, pod.name);
  for (const folder of existsSync(directory) ? containerFolders(directory) : []) {
    let text = '';
    for await (const chunk of containerLog(folder, { tailLines: TAIL_LINES })) text += chunk.toString('utf8');
    if (text.trimEnd() !== '') said.push(...text.trimEnd().split('\n').map(indented));
  }
  return new LabError('WEFT_LAB_FAILED', message, said);
}

function lastLines(path: string): string[] {
  return tail(path, TAIL_LINES).map(indented);
}

function indented(line: string): string {
  return `  ${line}`;
}
