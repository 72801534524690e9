/**
 * A pod's status in Kubernetes' shape, out of what its containers are doing (k8s.io/kubernetes pkg/kubelet:
 * kubelet_pods.go getPhase, status/generate.go). Pure but for the memory of when each condition changed last.
 */
import type * as core from 'kubernetes-types/core/v1.js';
import type { PodPhase } from '../status.ts';
import type { ContainerProcess } from './container.ts';
import type { ContainerPlan, PodPlan } from './pod-plan.ts';
import { type ContainerState, type PodState, type RunEnd, restartsOf } from './pod-state.ts';

export interface PodSituation {
  plan: PodPlan;
  containers: readonly ContainerProcess[];
  state: Pick<PodState, 'startedAtMs' | 'conditions'>;
  /** Its network is there. */
  isOpen: boolean;
  /** Why not, or ''. */
  problem: string;
}

export function podPhase(plan: PodPlan, containers: readonly ContainerProcess[]): PodPhase {
  const init = containers.filter((c) => c.plan.role === 'init');
  if (init.some((c) => c.isFinished && c.state.exitCode !== 0)) return 'Failed';
  if (init.some((c) => !isDone(c))) return 'Pending';
  if (containers.some((c) => c.plan.role === 'sidecar' && c.state.runs === 0)) return 'Pending';
  const main = containers.filter((c) => c.plan.role === 'main');
  if (main.some((c) => !c.isRunning && c.state.ends.length === 0)) return 'Pending';
  // Sidecars end after the others: only then is it over.
  if (containers.some((c) => c.isRunning || c.state.shimPid > 0)) return 'Running';
  // What is ended for good by its pod's end is started by nobody any more.
  if (!plan.ending && main.some((c) => !c.isFinished)) return 'Running';
  return main.every((c) => c.state.exitCode === 0) ? 'Succeeded' : 'Failed';
}

/** An init container that did its work. */
export function isDone(container: ContainerProcess): boolean {
  return container.state.shimPid === 0 && container.state.exitCode === 0;
}

export function kubePodStatus(situation: PodSituation, nowMs = Date.now()): core.PodStatus {
  const { plan, containers, state, isOpen, problem } = situation;
  const phase = podPhase(plan, containers);
  const initialized = containers.every((c) => c.plan.role !== 'init' || isDone(c));
  const status = (c: ContainerProcess): core.ContainerStatus => containerStatus(c, initialized, plan);
  const init = containers.filter((c) => c.plan.role !== 'main');
  const unready = containers.filter((c) => c.plan.role !== 'init' && !isReady(c));
  const addresses = isOpen ? plan.addresses : [];
  return {
    phase,
    conditions: conditions(situation, { phase, initialized, unready: unready.map((c) => c.plan.name) }, nowMs),
    // Said also where it is nothing: whoever merges it would keep the last one.
    message: problem,
    ...(plan.hostAddresses[0] ? { hostIP: plan.hostAddresses[0] } : {}),
    hostIPs: plan.hostAddresses.map((ip) => ({ ip })),
    ...(addresses[0] ? { podIP: addresses[0], podIPs: addresses.map((ip) => ({ ip })) } : {}),
    startTime: time(state.startedAtMs),
    ...(init.length > 0 ? { initContainerStatuses: init.map(status) } : {}),
    containerStatuses: containers.filter((c) => c.plan.role === 'main').map(status),
    qosClass: plan.object.status?.qosClass ?? qosClass(plan),
  };
}

/** Takes traffic, as far as its probes and its process tell. */
export function isReady(container: ContainerProcess): boolean {
  return container.isRunning && container.state.ready;
}

interface Found {
  phase: PodPhase;
  initialized: boolean;
  unready: readonly string[];
}

function conditions(situation: PodSituation, found: Found, nowMs: number): core.PodCondition[] {
  const { plan, state, isOpen } = situation;
  const over = found.phase === 'Succeeded' || found.phase === 'Failed';
  const written = plan.object.status?.conditions ?? [];
  const missingGates = (plan.object.spec.readinessGates ?? [])
    .map((gate) => gate.conditionType)
    .filter((type) => written.find((condition) => condition.type === type)?.status !== 'True');
  const unready = found.unready.length > 0 || (found.phase !== 'Running' && !over);
  const why = over
    ? { reason: 'PodCompleted' }
    : { reason: 'ContainersNotReady', message: `containers with unready status: [${found.unready.join(' ')}]` };
  const gates = { reason: 'ReadinessGatesNotReady', message: `the status of ${missingGates.join(', ')} is not "True"` };
  const ready = !over && !unready;
  return [
    condition('PodReadyToStartContainers', isOpen && !over),
    condition(
      'Initialized',
      found.initialized,
      found.initialized ? {} : { reason: 'ContainersNotInitialized', message: incomplete(situation) },
    ),
    condition('Ready', ready && missingGates.length === 0, ready ? gates : why),
    condition('ContainersReady', ready, why),
    scheduled(written, state.startedAtMs),
  ];

  function condition(type: string, holds: boolean, otherwise: Partial<core.PodCondition> = {}): core.PodCondition {
    const known = state.conditions[type];
    const since = known?.status === holds ? known.sinceMs : nowMs;
    state.conditions[type] = { status: holds, sinceMs: since };
    return { type, status: holds ? 'True' : 'False', lastTransitionTime: time(since), ...(holds ? {} : otherwise) };
  }
}

function incomplete({ containers }: PodSituation): string {
  const names = containers.filter((c) => c.plan.role === 'init' && !isDone(c)).map((c) => c.plan.name);
  return `containers with incomplete status: [${names.join(' ')}]`;
}

/** The scheduler's own word, where there is one. */
function scheduled(written: readonly core.PodCondition[], startedAtMs: number): core.PodCondition {
  const known = written.find((condition) => condition.type === 'PodScheduled' && condition.status === 'True');
  return known ?? { type: 'PodScheduled', status: 'True', lastTransitionTime: time(startedAtMs) };
}

function containerStatus(container: ContainerProcess, initialized: boolean, pod: PodPlan): core.ContainerStatus {
  const { plan, state } = container;
  const [last, before] = state.ends;
  const now = containerState(container, initialized, pod);
  const lastEnd = now.terminated ? before : last;
  const run = lastRun(state);
  return {
    name: plan.name,
    image: plan.image,
    imageID: '',
    ready: plan.role === 'init' ? isDone(container) : isReady(container),
    started: container.isRunning && state.started,
    restartCount: restartsOf(state),
    state: now,
    lastState: lastEnd ? { terminated: terminated(lastEnd, container, pod, now.terminated ? run - 1 : run) } : {},
    ...(state.runs > 0 ? { containerID: runId(container, pod, state.runs) } : {}),
  };
}

function containerState(container: ContainerProcess, initialized: boolean, pod: PodPlan): core.ContainerState {
  const { plan, state, refusal } = container;
  const [last] = state.ends;
  if (container.isRunning) return { running: { startedAt: time(state.startedAtMs) } };
  if (refusal) return { waiting: { reason: refusal.reason, message: refusal.message } };
  if (container.isCrashLooping && last) {
    const seconds = Math.round((state.startAtMs - last.finishedAtMs) / 1000);
    const message = `back-off ${seconds}s restarting failed container=${plan.name} pod=${pod.name}_${pod.namespace}`;
    return { waiting: { reason: 'CrashLoopBackOff', message: pod.uid ? `${message}(${pod.uid})` : message } };
  }
  // Also in the moment until it is known to run again.
  if (last) return { terminated: terminated(last, container, pod, lastRun(state)) };
  const waitsForOthers = plan.role === 'main' && !initialized;
  return { waiting: { reason: waitsForOthers ? 'PodInitializing' : 'ContainerCreating' } };
}

/** Number of the last run that ended. */
function lastRun({ runs, shimPid }: ContainerState): number {
  return shimPid > 0 ? runs - 1 : runs;
}

function terminated(
  end: RunEnd,
  container: ContainerProcess,
  pod: PodPlan,
  run: number,
): core.ContainerStateTerminated {
  return {
    exitCode: end.exitCode,
    ...(end.signal > 0 ? { signal: end.signal } : {}),
    reason: end.reason,
    ...(end.message ? { message: end.message } : {}),
    startedAt: time(end.startedAtMs),
    finishedAt: time(end.finishedAtMs),
    containerID: runId(container, pod, run),
  };
}

/** Kubernetes' tools expect a runtime and something that tells one run from another. */
function runId({ plan }: { plan: ContainerPlan }, pod: PodPlan, run: number): string {
  return `weft://${pod.uid || pod.key}/${plan.name}/${run}`;
}

function qosClass({ object }: PodPlan): string {
  const all = [...(object.spec.initContainers ?? []), ...object.spec.containers];
  const values = (c: core.Container): unknown[] =>
    ['cpu', 'memory'].flatMap((name) => [c.resources?.limits?.[name], c.resources?.requests?.[name]]);
  if (all.every((c) => values(c).every((value) => value === undefined))) return 'BestEffort';
  const guaranteed = all.every((c) =>
    ['cpu', 'memory'].every((name) => {
      const limit = c.resources?.limits?.[name];
      return limit !== undefined && `${c.resources?.requests?.[name] ?? limit}` === `${limit}`;
    }),
  );
  return guaranteed ? 'Guaranteed' : 'Burstable';
}

/** As metav1.Time: whole seconds. */
function time(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
