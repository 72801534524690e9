/**
 * Keeps this host's Node object in an API: makes it, writes what is missing in it, and its status whenever that is no
 * longer true, be it that the host changed or that somebody wrote something else (a controller says Unknown of a node
 * that was silent). Tries again until it is done.
 */
import { isDeepStrictEqual } from 'node:util';
import { type ApiClient, ApiRequestError, pathSegment } from '../../kube/api-client.ts';
import { describeError } from '../agent-error.ts';
import { Reconciler } from '../reconciler.ts';
import { addressesToward } from './host-facts.ts';
import { type HostFacts, isKubelets, missingMetadata, type NodeRecord, wantedStatus } from './node-record.ts';

const LOOK_MS = 30_000;
const LAST_WORD_MS = 1000;
const PATH = '/api/v1/nodes';

export interface NodeKeeperParts {
  client: ApiClient;
  facts: HostFacts;
  /** Whether its pods are ours: a kubelet's Node is not, then. */
  runsPods: boolean;
  /** Why the host is not ready, or ''. */
  notReady(): string;
  /** The Node as it is known from watching; undefined: there is none, or it is not known. */
  known(): NodeRecord | undefined;
  /** Whether it is known that there is none. */
  isAbsent?(): boolean;
  /** Called when `problem` changed. */
  changed(): void;
}

export class NodeKeeper {
  /** What is wrong, or ''. */
  problem = '';
  /** The Node's, once it is known that there is one. */
  uid: string | undefined;
  /** Whether a kubelet keeps the Node, and its Lease. */
  isKubelets = false;
  readonly #parts: NodeKeeperParts;
  readonly #path: string;
  readonly #reconciler = new Reconciler(() => this.#keep());
  readonly #stop = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #facts: HostFacts;

  constructor(parts: NodeKeeperParts) {
    this.#parts = parts;
    this.#facts = parts.facts;
    this.#path = `${PATH}/${pathSegment(parts.facts.name)}`;
  }

  start(): void {
    void this.#reconciler.request();
    this.#timer = setInterval(() => this.look(), LOOK_MS);
  }

  /** Something may be otherwise than the Node says. */
  look(): void {
    const node = this.#parts.known();
    const isWrong = node ? !this.#isTrue(node) : this.#parts.isAbsent?.() === true;
    if (this.uid === undefined || isWrong) void this.#reconciler.request();
  }

  /**
   * `lastWord`: why the host is not ready from now on; '' where it goes on without us for a while. A server that does
   * not answer holds up nobody.
   */
  async stop(lastWord: string): Promise<void> {
    clearInterval(this.#timer);
    const stopped = this.#reconciler.stop();
    this.#stop.abort();
    await stopped;
    if (!lastWord || this.uid === undefined || this.isKubelets) return;
    const { client } = this.#parts;
    try {
      const node = await client.get<NodeRecord>(this.#path, { timeoutMs: LAST_WORD_MS });
      const status = wantedStatus(node, this.#facts, lastWord, new Date());
      await client.put(`${this.#path}/status`, { ...node, status }, { timeoutMs: LAST_WORD_MS });
    } catch {
      // Its Lease says the same soon.
    }
  }

  /** Of another one of the name than we know, the Lease says nothing yet. */
  #isTrue(node: NodeRecord): boolean {
    const isOurs = (node.metadata.uid ?? '') === this.uid && !missingMetadata(node, this.#facts);
    return isOurs && isDeepStrictEqual(node.status, this.#status(node));
  }

  #status(node: NodeRecord): NodeRecord['status'] {
    return wantedStatus(node, this.#facts, this.#parts.notReady(), new Date());
  }

  async #keep(): Promise<boolean> {
    const before = this.problem;
    try {
      this.problem = await this.#write();
      return true;
    } catch (error) {
      if (this.#stop.signal.aborted) return false;
      this.problem = `Node ${this.#facts.name}: ${describeError(error)}`;
      // Somebody wrote in between: nothing is wrong.
      if (error instanceof ApiRequestError && error.code === 409) this.problem = before;
      return false;
    } finally {
      if (this.problem !== before) this.#parts.changed();
    }
  }

  /** Returns what is wrong with it that nobody can mend by trying again. */
  async #write(): Promise<string> {
    const { client, runsPods } = this.#parts;
    const { signal } = this.#stop;
    let node = await this.#read();
    if (this.#facts.addresses.length === 0) {
      this.#facts = { ...this.#facts, addresses: addressesToward(client.localAddress) };
    }
    node ??= await client.post<NodeRecord>(PATH, this.#blank(), { signal });
    this.uid = node.metadata.uid ?? '';
    this.isKubelets = isKubelets(node);
    if (this.isKubelets && runsPods) {
      const version = node.status?.nodeInfo?.kubeletVersion;
      return `Node ${this.#facts.name} has a kubelet (${version}), which runs its pods: start the agent with --no-pods`;
    }
    const metadata = missingMetadata(node, this.#facts);
    if (metadata) node = await client.patch<NodeRecord>(this.#path, 'merge', { metadata }, { signal });
    const status = this.#status(node);
    if (!isDeepStrictEqual(status, node.status)) {
      await client.put(`${this.#path}/status`, { ...node, status }, { signal });
    }
    return '';
  }

  async #read(): Promise<NodeRecord | undefined> {
    try {
      return await this.#parts.client.get<NodeRecord>(this.#path, { signal: this.#stop.signal });
    } catch (error) {
      if (error instanceof ApiRequestError && error.code === 404) return undefined;
      throw error;
    }
  }

  #blank(): NodeRecord {
    const node: NodeRecord = { apiVersion: 'v1', kind: 'Node', metadata: { name: this.#facts.name } };
    return { ...node, metadata: { ...node.metadata, ...missingMetadata(node, this.#facts) } };
  }
}
