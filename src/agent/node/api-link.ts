/**
 * The agent as a client of an API: what it hears from there, and what it owes in return.
 *
 *   API ──▶ ApiSource ──▶ usable() ──▶ the agent's model        addresses of its own pods: AddressLedger
 *   API ◀── NodeKeeper, NodeLease    this host: its Node, every second its Lease
 *       ◀── PodStatusWriter          how its pods are; those that ended after their deletion go
 *       ◀── EventWriter              what happened to them
 */
import { join } from 'node:path';
import { AddressLedger, type LedgerEntry } from '../../control/address-ledger.ts';
import { buildNodes } from '../../control/cluster-nodes.ts';
import { clusterRanges } from '../../control/cluster-settings.ts';
import { hasFinished, liveObjects } from '../../control/live-objects.ts';
import { ProblemList } from '../../control/problem-list.ts';
import { ApiClient } from '../../kube/api-client.ts';
import { ApiSource } from '../../kube/api-source.ts';
import { isJsonObject } from '../../kube/json-value.ts';
import type { ApiAccess } from '../../kube/kubeconfig.ts';
import type { ObjectSet, Pod } from '../../kube/objects.ts';
import type { Problem } from '../../kube/problem.ts';
import type { Words } from '../../wire/address.ts';
import { AgentError, describeError } from '../agent-error.ts';
import type { AgentSettings } from '../options.ts';
import type { PodEvent } from '../pods/pod.ts';
import { readState, writeState } from '../state-file.ts';
import { EventWriter } from './event-writer.ts';
import { hostFacts } from './host-facts.ts';
import { KubeconfigWatch, usableAccess } from './kubeconfig-watch.ts';
import { NodeKeeper } from './node-keeper.ts';
import { NodeLease } from './node-lease.ts';
import { PodStatusWriter, type RunningPod } from './pod-status-writer.ts';

const OBJECTS_FILE = 'objects.jsonl';
const ADDRESSES_FILE = 'addresses.json';

/** What the link must know of the agent that it is of. */
export interface LinkedAgent {
  /** Why the host is not ready, or ''. */
  notReady: string;
  /** The pods here by `namespace/name`, ending ones too; undefined while that is not known. */
  runningPods(): ReadonlyMap<string, RunningPod> | undefined;
  /** What is wrong changed. */
  noteProblems(): void;
}

export class ApiLink {
  readonly client: ApiClient;
  readonly source: ApiSource;
  readonly #settings: AgentSettings;
  readonly #ledger: AddressLedger;
  readonly #addressesPath: string;
  #problems: readonly Problem[] = [];
  #ledgerProblem = '';
  readonly #kubeconfig: KubeconfigWatch;
  #keeper: NodeKeeper | undefined;
  #lease: NodeLease | undefined;
  #statuses: PodStatusWriter | undefined;
  #events: EventWriter | undefined;
  #agent: LinkedAgent | undefined;
  #renewed: (access: ApiAccess) => void = () => {};

  /** Throws AgentError for a kubeconfig that cannot be used. */
  constructor(settings: AgentSettings, kubeconfig: string) {
    this.#settings = settings;
    const access = accessOf(kubeconfig);
    this.client = new ApiClient(access);
    this.#kubeconfig = new KubeconfigWatch({
      path: kubeconfig,
      access,
      renewed: (next) => {
        this.client.renew(next);
        this.#renewed(next);
      },
    });
    const copyPath = join(settings.stateDir, OBJECTS_FILE);
    this.source = new ApiSource({ client: this.client, node: settings.node, copyPath });
    this.#addressesPath = join(settings.stateDir, ADDRESSES_FILE);
    this.#ledger = new AddressLedger(readState(this.#addressesPath, isLedger) ?? []);
  }

  /** From here on the API hears of this host. */
  serve(agent: LinkedAgent): void {
    const { settings, client, source } = { settings: this.#settings, client: this.client, source: this.source };
    this.#agent = agent;
    const keeper = new NodeKeeper({
      client,
      facts: hostFacts(settings.node, settings.nodeIps, settings.runsPods ? settings.nodePort : 0),
      runsPods: settings.runsPods,
      notReady: () => agent.notReady,
      known: () => (source.isFollowing ? source.current().nodes.get(settings.node) : undefined),
      isAbsent: () => source.isFollowing && !source.current().nodes.has(settings.node),
      changed: () => agent.noteProblems(),
    });
    this.#keeper = keeper;
    this.#lease = new NodeLease(client, settings.node, () => (keeper.isKubelets ? undefined : keeper.uid));
    if (settings.runsPods) {
      this.#events = new EventWriter(client, settings.node);
      this.#statuses = new PodStatusWriter({
        client,
        told: () => this.#toldPods(),
        running: () => this.#runningPods(),
      });
    }
    this.#kubeconfig.start();
    keeper.start();
    this.#lease.start();
    source.onChange(() => this.look());
  }

  /** Called when others than before are shown to the API. */
  onRenewal(listener: (access: ApiAccess) => void): void {
    this.#renewed = listener;
  }

  /** Something may be otherwise than the API says. */
  look(): void {
    this.#keeper?.look();
    this.#statuses?.look();
  }

  happened(event: PodEvent): void {
    this.#events?.tell(event);
  }

  /** What of the objects the network can use now; addresses for our own pods among it. */
  usable(objects: ObjectSet): ObjectSet {
    const { node, runsPods } = this.#settings;
    if (!runsPods) return liveObjects(objects, node, undefined);
    return liveObjects(objects, node, this.#ownAddresses(objects));
  }

  problems(): readonly Problem[] {
    const place = `host ${this.#settings.node}`;
    const own = [this.#keeper?.problem ?? '', this.#lease?.problem ?? '', this.#ledgerProblem];
    const all = [...own.filter((message) => message !== ''), ...(this.#statuses?.problems() ?? [])];
    return [
      ...all.map((message): Problem => ({ place, message, severity: 'error' })),
      ...this.#kubeconfig.problems().map((message): Problem => ({ place, message, severity: 'warning' })),
      ...this.#problems,
    ];
  }

  /** Whether all that could be given was given; else it is to be asked again. */
  get isSettled(): boolean {
    return this.#problems.length === 0;
  }

  /** `lastWord`: why the host is not ready from now on; '' where pods and packets go on. */
  async close(lastWord: string): Promise<void> {
    this.#kubeconfig.stop();
    this.#lease?.stop();
    this.#statuses?.stop();
    await Promise.all([this.#events?.stop(), this.#keeper?.stop(lastWord)]);
    this.client.close();
  }

  #toldPods(): ReadonlyMap<string, Pod> {
    // What a copy says may be long over.
    if (!this.source.isFollowing) return new Map();
    const { pods } = this.source.current();
    const own = [...pods].filter(([, pod]) => pod.spec.nodeName === this.#settings.node);
    return new Map([...this.#refusedPods().map(([key, { pod }]): [string, Pod] => [key, pod]), ...own]);
  }

  /** Those that are here, and those that never will be: the API is told why, and they go when they are deleted. */
  #runningPods(): ReadonlyMap<string, RunningPod> | undefined {
    const running = this.#agent?.runningPods();
    if (!running) return undefined;
    const refused = this.#refusedPods().map(([key, { pod, why }]): [string, RunningPod] => {
      return [key, { uid: pod.metadata.uid ?? '', status: { phase: 'Pending', message: why }, hasEnded: true }];
    });
    return new Map([...refused, ...running]);
  }

  /** Of this node, by `namespace/name`, as the server wrote them, and what is wrong with them. */
  #refusedPods(): [string, { pod: Pod; why: string }][] {
    return [...this.source.refusedPods()].flatMap(([key, { raw, problems }]) => {
      const pod = raw as unknown as Pod;
      if (!isJsonObject(raw.spec) || pod.spec.nodeName !== this.#settings.node) return [];
      return [[key, { pod, why: problems.map(({ message }) => message).join('; ') }]];
    });
  }

  #ownAddresses(objects: ObjectSet): ReadonlyMap<string, readonly Words[]> {
    const { node: name } = this.#settings;
    const node = objects.nodes.get(name);
    if (!node) return new Map();
    // What is wrong with the Node is said where the model is built.
    const ranges = buildNodes(new Map([[name, node]]), clusterRanges(this.#settings), new ProblemList()).get(name);
    if (!ranges) return new Map();
    const running = this.#agent?.runningPods() ?? new Map<string, RunningPod>();
    const own = [...objects.pods.values()].filter(
      (pod) => pod.spec.nodeName === name && !hasFinished(pod) && (running.has(keyOf(pod)) || this.source.isKnown(pod)),
    );
    const networked = own.filter((pod) => !pod.spec.hostNetwork);
    const held = new Set([...running.values()].map(({ uid }) => uid));
    const { addresses, problems } = this.#ledger.assign(networked, ranges, held, Date.now());
    this.#problems = problems;
    this.#writeLedger();
    for (const pod of own) if (pod.spec.hostNetwork) addresses.set(keyOf(pod), []);
    return addresses;
  }

  #writeLedger(): void {
    const entries = this.#ledger.takeChanges();
    if (!entries) return;
    try {
      writeState(this.#addressesPath, entries);
      this.#ledgerProblem = '';
    } catch (error) {
      this.#ledgerProblem = `${this.#addressesPath} cannot be written: ${describeError(error)}`;
    }
  }
}

function accessOf(kubeconfig: string): ApiAccess {
  try {
    return usableAccess(kubeconfig);
  } catch (error) {
    throw new AgentError('bad-option', `--kubeconfig ${describeError(error)}`, 'see weft kubeconfig --help', error);
  }
}

function keyOf({ metadata }: Pod): string {
  return `${metadata.namespace}/${metadata.name}`;
}

function isLedger(value: unknown): value is LedgerEntry[] {
  return Array.isArray(value) && value.every(isEntry);
}

function isEntry(value: unknown): value is LedgerEntry {
  const { uid, key, addresses, goneAtMs } = (value ?? {}) as Partial<LedgerEntry>;
  const texts = Array.isArray(addresses) && addresses.every((address) => typeof address === 'string');
  return typeof uid === 'string' && typeof key === 'string' && texts && Number.isFinite(goneAtMs);
}
