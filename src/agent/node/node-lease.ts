/**
 * The Lease by which a cluster knows that this host is alive (coordination.k8s.io/v1, in kube-node-lease): renewed every
 * second for four, so that a host that is gone is known to be within seconds.
 */
import { type ApiClient, ApiRequestError, pathSegment } from '../../kube/api-client.ts';
import { describeError } from '../agent-error.ts';

const NAMESPACE = 'kube-node-lease';
const PATH = `/apis/coordination.k8s.io/v1/namespaces/${NAMESPACE}/leases`;
const DURATION_SECONDS = 4;
const RENEW_MS = 1000;
const ANSWER_MS = 1500;
/**
 * So many renewals in a row without an answer, and the connections lead nowhere. The next time after twice as many: a
 * server that is slow, not gone, would never come to the end of a list that all its nodes begin again and again.
 */
const SILENT_AT = 3;

interface LeaseRecord {
  metadata: { name: string; resourceVersion?: string };
  spec: object;
}

export class NodeLease {
  /** Why the server will not have it, or ''. */
  problem = '';
  readonly #client: ApiClient;
  readonly #node: string;
  readonly #uid: () => string | undefined;
  readonly #renewMs: number;
  #timer: NodeJS.Timeout | undefined;
  #version: string | undefined;
  #silent = 0;
  #stopped = false;

  /** `uid`: the Node's, undefined while there is none. */
  constructor(client: ApiClient, node: string, uid: () => string | undefined, renewMs = RENEW_MS) {
    this.#renewMs = renewMs;
    this.#client = client;
    this.#node = node;
    this.#uid = uid;
  }

  start(): void {
    const began = performance.now();
    void this.#renew().finally(() => {
      if (this.#stopped) return;
      const tookMs = performance.now() - began;
      this.#timer = setTimeout(() => this.start(), Math.max(this.#renewMs / 10, this.#renewMs - tookMs));
    });
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  async #renew(isSecond = false): Promise<void> {
    const uid = this.#uid();
    if (uid === undefined) return;
    const options = { timeoutMs: ANSWER_MS };
    const path = `${PATH}/${pathSegment(this.#node)}`;
    try {
      const answer = await (this.#version === undefined
        ? this.#client.post<LeaseRecord>(PATH, this.#record(uid, undefined), options)
        : this.#client.put<LeaseRecord>(path, this.#record(uid, this.#version), options));
      this.#version = answer.metadata.resourceVersion;
      this.#silent = 0;
      this.problem = '';
    } catch (error) {
      const code = error instanceof ApiRequestError ? error.code : 0;
      const isGone = code === 404 && this.#version !== undefined;
      if (isGone) this.#version = undefined;
      // An earlier agent's, or we did not hear that it was renewed.
      else if (code === 409 && !isSecond && (await this.#reread(path))) await this.#renew(true);
      else if (code === 0 && isPowerOfTwo(++this.#silent / SILENT_AT)) this.#client.reset();
      else if (code >= 400 && code < 500 && code !== 409 && code !== 429) {
        this.problem = `Lease ${NAMESPACE}/${this.#node}: ${describeError(error)}`;
      }
    }
  }

  async #reread(path: string): Promise<boolean> {
    const lease = await this.#client.get<LeaseRecord>(path, { timeoutMs: ANSWER_MS }).catch(() => undefined);
    this.#version = lease?.metadata.resourceVersion;
    return lease !== undefined;
  }

  #record(uid: string, resourceVersion: string | undefined): object {
    const owner = { apiVersion: 'v1', kind: 'Node', name: this.#node, uid };
    return {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: {
        name: this.#node,
        namespace: NAMESPACE,
        ...(resourceVersion ? { resourceVersion } : {}),
        ...(uid ? { ownerReferences: [owner] } : {}),
      },
      spec: {
        holderIdentity: this.#node,
        leaseDurationSeconds: DURATION_SECONDS,
        // Microseconds, as MicroTime has them.
        renewTime: new Date().toISOString().replace('Z', '000Z'),
      },
    };
  }
}

function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(Math.log2(value));
}
