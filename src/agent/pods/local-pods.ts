/**
 * The pods of this host as a set: told which there should be, it opens the new, keeps the same, and lets go of those
 * that are gone or changed. What an earlier agent left is taken up when it is still wanted as it was, and removed
 * when not. A pod's slow end never holds up the others; a changed pod begins anew when its old self is gone.
 */
import { basename, join } from 'node:path';
import type * as core from 'kubernetes-types/core/v1.js';
import { FIRST_POD_PORT, type LocalPort } from '../../control/compile.ts';
import type { Dataplane } from '../../dataplane/handle.ts';
import { PORT_LIMIT } from '../../tables/ports.ts';
import { parseAddress4 } from '../../wire/address.ts';
import { AgentError, describeError } from '../agent-error.ts';
import type { Log } from '../log.ts';
import type { RunningPod } from '../node/pod-status-writer.ts';
import { writeState } from '../state-file.ts';
import type { PodStatus } from '../status.ts';
import { type AttachedRun, type Attachment, ContainerAttachment } from './container-attachment.ts';
import type { StartCommand } from './container-command.ts';
import { readLog } from './container-log-reader.ts';
import { removeDamagedPod, removeLeftPod } from './left-pods.ts';
import { LocalPod, type PodEnvironment, type PodEvent } from './pod.ts';
import type { ContainerLogRequest, ContainerPlace, PodPlace } from './pod-access.ts';
import type { PodLoopback } from './pod-loopback.ts';
import { isNetns, netnsPath, removePodNetwork } from './pod-network.ts';
import type { PodPlan } from './pod-plan.ts';
import { logName, POD_STATE_FILE, type PodState, readPodStates, socketName } from './pod-state.ts';
import { isRunning } from './process-table.ts';

/** When an agent stops, its pods get no longer than this to end by themselves. */
const STOP_GRACE_MS = 5000;

interface Left {
  directory: string;
  state: PodState;
}

export class LocalPods {
  readonly #env: PodEnvironment;
  readonly #dataplane: Pick<Dataplane, 'attach' | 'detach'>;
  readonly #log: Log;
  readonly #changed: () => void;
  readonly #pods = new Map<string, LocalPod>();
  /** On their way out, by key, with the promise of their end once that has begun. */
  readonly #leaving = new Map<
    string,
    { pod: LocalPod | undefined; done: Promise<void> | undefined; end: () => Promise<void> }
  >();
  readonly #left = new Map<string, Left>();
  /** Those that did their work, without network; their logs stay as long as their objects. */
  readonly #finished = new Map<string, LocalPod>();
  readonly #stateDir: string;
  readonly #statusListeners: (() => void)[] = [];
  readonly #eventListeners: ((event: PodEvent) => void)[] = [];
  #telling = false;
  #problems: string[] = [];

  /** `changed` is called when a pod has gone, so that one that waits for its name can begin. */
  constructor(
    env: PodEnvironment,
    dataplane: Pick<Dataplane, 'attach' | 'detach'>,
    stateDir: string,
    log: Log,
    changed: () => void,
  ) {
    this.#env = env;
    this.#dataplane = dataplane;
    this.#stateDir = stateDir;
    this.#log = log;
    this.#changed = changed;
  }

  get problems(): readonly string[] {
    return this.#problems;
  }

  /** Reads what an earlier agent left; before the first open(). */
  async recover(): Promise<void> {
    const { found, damaged } = readPodStates(this.#stateDir);
    for (const left of found) this.#left.set(`${left.state.namespace}/${left.state.name}`, left);
    for (const directory of damaged) {
      this.#log.warn(`${directory} holds no readable state of a pod: removed`);
      await this.#tolerate(basename(directory).replace('_', '/'), removeDamagedPod(directory));
    }
  }

  /**
   * Makes the new pods' networks and takes the others out of ports(). Returns whether all of them could be opened.
   * `finished`: keys, and their uids, of pods that ended by themselves and whose objects are still there. Where the
   * plans are not certain, what an earlier agent left and nobody plans is let be.
   */
  async open(
    plans: ReadonlyMap<string, PodPlan>,
    finished: ReadonlyMap<string, string> = new Map(),
    isCertain = true,
  ): Promise<boolean> {
    for (const [key, pod] of this.#finished) {
      if (finished.get(key) === pod.plan.uid) continue;
      this.#finished.delete(key);
      this.#leave(pod);
    }
    for (const [key, pod] of this.#pods) {
      const plan = plans.get(key);
      if (plan?.fingerprint === pod.plan.fingerprint) pod.refresh(plan);
      else if (!plan && finished.get(key) === pod.plan.uid) this.#retire(pod);
      else this.#leave(pod);
    }
    for (const [key, left] of this.#left) {
      const { state } = left;
      if (!isCertain && !plans.has(key)) continue;
      if (plans.get(key)?.fingerprint === state.fingerprint && (!state.netns || isNetns(netnsPath(state.netns))))
        continue;
      if (!plans.has(key) && finished.get(key) === state.uid) {
        await this.#tolerate(key, this.#withdrawLeft(left));
        continue;
      }
      this.#left.delete(key);
      const end = () => removeLeftPod(left.directory, state, state.graceSeconds * 1000);
      this.#leaving.set(key, { pod: undefined, done: undefined, end });
    }
    const fresh = [...plans.values()].filter(
      (plan) => !this.#leaving.has(plan.key) && !this.#pods.get(plan.key)?.isOpen,
    );
    await Promise.all(fresh.map((plan) => this.#openOne(plan)));
    this.#problems = [...this.#pods.values()].flatMap((p) => (p.problem ? [`Pod ${p.plan.key}: ${p.problem}`] : []));
    return this.#problems.length === 0;
  }

  async #openOne(plan: PodPlan): Promise<void> {
    let pod = this.#pods.get(plan.key);
    let adopted = false;
    if (!pod) {
      const earlier = this.#left.get(plan.key)?.state;
      adopted = earlier !== undefined;
      this.#left.delete(plan.key);
      const listener = {
        changed: () => this.#tell(),
        event: (event: PodEvent) => {
          for (const listen of this.#eventListeners) listen(event);
        },
      };
      const port = plan.netns ? this.#freePort() : -1;
      pod = new LocalPod(plan, port, this.#env, listener, earlier);
      this.#pods.set(plan.key, pod);
    }
    try {
      await pod.open();
      const { device } = pod;
      if (device) {
        const { fd, vnetHeaderBytes } = device;
        const address4 = parseAddress4(plan.address);
        const { mergeBytes, mergeBytes6 } = this.#env;
        await this.#dataplane.attach({
          id: pod.port,
          fd,
          kind: 'tun',
          vnetHeaderBytes,
          mergeBytes,
          mergeBytes6,
          mtu: plan.mtu,
          address4,
        });
      }
      pod.isOpen = true;
      this.#tell();
      this.#log.info(`Pod ${plan.key}: ${adopted ? 'taken up from an earlier agent' : 'begins'} at ${plan.address}`);
    } catch (error) {
      pod.fail(describeError(error));
    }
  }

  /** Soon, once for all that changes together. */
  #tell(): void {
    if (this.#telling) return;
    this.#telling = true;
    setImmediate(() => {
      this.#telling = false;
      for (const listen of this.#statusListeners) listen();
    });
  }

  #freePort(): number {
    const used = new Set<number>();
    for (const pod of this.#pods.values()) used.add(pod.port);
    for (const { pod } of this.#leaving.values()) if (pod) used.add(pod.port);
    for (let id = FIRST_POD_PORT; id < PORT_LIMIT; id++) if (!used.has(id)) return id;
    throw new Error(`no port is free for another pod: a host runs at most ${PORT_LIMIT - FIRST_POD_PORT}`);
  }

  #leave(pod: LocalPod): void {
    this.#pods.delete(pod.plan.key);
    const end = () => pod.end(pod.plan.graceSeconds * 1000, () => this.#detach(pod));
    this.#leaving.set(pod.plan.key, { pod, done: undefined, end });
  }

  /** Of one that did its work only the logs stay. */
  async #withdrawLeft({ directory, state }: Left): Promise<void> {
    if (!state.netns) return;
    await removePodNetwork(state.netns);
    state.netns = '';
    writeState(join(directory, POD_STATE_FILE), state);
  }

  #retire(pod: LocalPod): void {
    this.#pods.delete(pod.plan.key);
    const end = async () => {
      await pod.retire(() => this.#detach(pod));
      this.#finished.set(pod.plan.key, pod);
    };
    this.#leaving.set(pod.plan.key, { pod, done: undefined, end });
  }

  async #detach(pod: LocalPod): Promise<void> {
    if (pod.isOpen && pod.device) await this.#dataplane.detach(pod.port);
  }

  /** The ports that tables should know. */
  ports(): LocalPort[] {
    return [...this.#pods.values()]
      .filter((pod) => pod.isOpen && pod.device)
      .map((pod) => ({ id: pod.port, namespace: pod.plan.namespace, name: pod.plan.name }));
  }

  /** After tables with ports() are in force: containers start, and those that leave begin to end. */
  start(): void {
    for (const pod of this.#pods.values()) if (pod.isOpen) pod.start();
    for (const [key, leaving] of this.#leaving) {
      leaving.done ??= this.#tolerate(key, leaving.end()).then(() => {
        this.#leaving.delete(key);
        this.#log.info(`Pod ${key}: removed`);
        this.#changed();
      });
    }
  }

  /** Ends all pods and removes what they had. */
  async stop(): Promise<void> {
    this.start();
    const ends = [...this.#pods].map(([key, pod]) => {
      const grace = Math.min(pod.plan.graceSeconds * 1000, STOP_GRACE_MS);
      return this.#tolerate(
        key,
        pod.end(grace, () => this.#detach(pod)),
      );
    });
    for (const [key, { directory, state }] of this.#left) {
      const graceMs = Math.min(state.graceSeconds * 1000, STOP_GRACE_MS);
      ends.push(this.#tolerate(key, removeLeftPod(directory, state, graceMs)));
    }
    for (const [key, pod] of this.#finished)
      ends.push(
        this.#tolerate(
          key,
          pod.end(0, async () => {}),
        ),
      );
    this.#pods.clear();
    this.#finished.clear();
    await Promise.all([...ends, ...[...this.#leaving.values()].map((l) => l.done)]);
  }

  /** One that cannot be removed holds up no other. */
  #tolerate(key: string, end: Promise<void>): Promise<void> {
    return end.catch((error) => this.#log.error(`Pod ${key}: not removed cleanly: ${describeError(error)}`));
  }

  /** Leaves all pods as they are for the next agent. */
  release(): void {
    for (const pod of this.#pods.values()) pod.release();
  }

  /** Called soon after anything in kubeStatuses() or ended() changed. */
  onStatus(listener: () => void): void {
    this.#statusListeners.push(listener);
  }

  onEvent(listener: (event: PodEvent) => void): void {
    this.#eventListeners.push(listener);
  }

  /** In Kubernetes' shape, by `namespace/name`: of those that have a plan. */
  kubeStatuses(): Map<string, core.PodStatus> {
    return new Map([...this.#pods].map(([key, pod]) => [key, pod.kubeStatus()]));
  }

  /** Keys of deleted pods whose containers have all ended: their objects may go. */
  ended(): string[] {
    return [...this.#pods].flatMap(([key, pod]) => (pod.plan.ending && pod.isEnded ? [key] : []));
  }

  /**
   * Those that are here, by `namespace/name`, as an API is told of them; of one on its way out no status any more, nor
   * of what an earlier agent left and nobody has planned yet.
   */
  running(): Map<string, RunningPod> {
    const left = [...this.#left].flatMap(([key, { state }]): [string, RunningPod][] => {
      return isHere(state) ? [[key, { uid: state.uid, status: undefined, hasEnded: false }]] : [];
    });
    const leaving = [...this.#leaving].map(([key, { pod }]): [string, RunningPod] => {
      return [key, { uid: pod?.plan.uid ?? '', status: undefined, hasEnded: false }];
    });
    const staying = [...this.#pods].map(([key, pod]): [string, RunningPod] => {
      return [key, { uid: pod.plan.uid, status: pod.kubeStatus(), hasEnded: pod.plan.ending && pod.isEnded }];
    });
    return new Map([...left, ...leaving, ...staying]);
  }

  /** How a command is run beside a container's. Throws AgentError where that does not run. */
  beside(place: ContainerPlace, argv: readonly string[]): StartCommand {
    const start = this.#podOf(place).beside(place.container, argv);
    if (start) return start;
    const what = `container "${place.container}" in pod "${place.pod}"`;
    throw new AgentError('container-not-running', `${what} is not running`);
  }

  /** Where a pod's servers are. Throws AgentError where it has no network yet, or its containers have ended. */
  loopback(place: PodPlace): PodLoopback {
    const pod = this.#podOf(place);
    if (pod.isOpen && !pod.isEnded) return pod.loopback;
    throw new AgentError('pod-not-running', `pod "${place.pod}" is not running`);
  }

  #podOf({ namespace, pod: name }: PodPlace): LocalPod {
    const pod = this.#pods.get(`${namespace}/${name}`);
    if (pod) return pod;
    throw new AgentError('no-pod', `no pod ${namespace}/${name} runs here`);
  }

  /** What a container said. Throws AgentError where there is no such container, or no such run of it. */
  containerLog(request: ContainerLogRequest, signal?: AbortSignal): AsyncGenerator<Buffer> {
    const { namespace: _, pod: __, container: ___, previous = false, ...options } = request;
    return readLog(this.#runOf(request, previous), options, signal);
  }

  /** Of a container's run under way, or its last. Throws AgentError where there is none. */
  attach(place: ContainerPlace, withInput: boolean): Attachment {
    const { plan } = this.#find(`${place.namespace}/${place.pod}`) ?? {};
    const spec = plan?.containers.find(({ name }) => name === place.container)?.spec;
    return new ContainerAttachment(this.#runOf(place, false), spec, withInput);
  }

  #runOf({ namespace, pod: name, container: containerName }: ContainerPlace, previous: boolean): AttachedRun {
    const found = this.#find(`${namespace}/${name}`);
    if (!found) throw new AgentError('no-pod', `no pod ${namespace}/${name} runs here`);
    const state = found.state.containers.find((each) => each.name === containerName);
    if (!state) throw new AgentError('no-container', `container ${containerName} is not valid for pod ${name}`);
    const { runs } = state;
    if (previous && runs < 2) {
      const what = `previous terminated container "${containerName}" in pod "${name}" not found`;
      throw new AgentError('no-previous-run', what);
    }
    if (runs === 0) {
      const what = `container "${containerName}" in pod "${name}" is waiting to start`;
      const why = state.reason || this.#pods.get(`${namespace}/${name}`)?.waitingReason(containerName);
      throw new AgentError('container-waiting', why ? `${what}: ${why}` : what);
    }
    const folder = join(found.directory, containerName);
    const isOver = () => previous || state.runs !== runs || state.shimPid === 0;
    return {
      path: join(folder, logName(state, previous)),
      socket: join(folder, socketName(state)),
      isOver,
      isStarting: () => !isOver() && state.pid === 0,
    };
  }

  /** Of a pod that runs, ends, or did its work, also under an earlier agent. */
  #find(key: string): { directory: string; state: Readonly<PodState>; plan?: PodPlan } | undefined {
    const pod = this.#pods.get(key) ?? this.#finished.get(key) ?? this.#leaving.get(key)?.pod;
    return pod ? { directory: pod.plan.directory, state: pod.state, plan: pod.plan } : this.#left.get(key);
  }

  notes(): string[] {
    return [...this.#pods.values()].flatMap((pod) => pod.complaints().map((note) => `Pod ${pod.plan.key}: ${note}`));
  }

  status(): PodStatus[] {
    const leaving = [...this.#leaving.values()].flatMap(({ pod }) => (pod ? [leavingStatus(pod)] : []));
    const kept = [...this.#pods.values(), ...this.#finished.values()];
    const all = [...kept.map((pod) => pod.status()), ...leaving];
    return all.sort((a, b) => (`${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1));
  }
}

/** Whether an earlier agent left more of it than its logs. */
function isHere({ netns, containers }: PodState): boolean {
  return netns !== '' || containers.some(({ shimPid: pid, shimTicks: startTicks }) => isRunning({ pid, startTicks }));
}

/** One that ended by itself has said how; its network alone goes. */
function leavingStatus(pod: LocalPod): PodStatus {
  const status = pod.status();
  const ended = status.phase === 'Failed' || status.phase === 'Succeeded';
  return ended ? status : { ...status, message: 'is being ended' };
}
