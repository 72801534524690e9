/**
 * The node's server within the agent: it listens on loopback and on the node's own addresses as soon as they are
 * there, and knows the API server by the authority of the kubeconfig. Its certificate is the agent's own.
 */
import type { NativeAddon } from '../../io/native-addon.ts';
import type { ApiAccess } from '../../kube/kubeconfig.ts';
import { describeError } from '../agent-error.ts';
import type { PodAccess } from '../pods/pod-access.ts';
import type { NodeIdentity, NodeServer } from './node-server.ts';

const LOOPBACK = '127.0.0.1';
const NOT_SERVED = 'kubectl logs and exec are not served';

/** A kubeconfig, and what it says later. */
export interface AccessSource {
  client: { access: ApiAccess };
  onRenewal(listener: (access: ApiAccess) => void): void;
}

export interface NodeEndpointParts {
  port: number;
  pods: PodAccess;
  native: NativeAddon;
}

export class NodeEndpoint {
  readonly #parts: NodeEndpointParts;
  #access: ApiAccess;
  #server: NodeServer | undefined;
  readonly #listening = new Set<string>();
  #problems: readonly string[] = [];

  constructor(source: AccessSource, parts: NodeEndpointParts) {
    this.#access = source.client.access;
    this.#parts = parts;
    source.onRenewal((access) => this.#renew(access));
  }

  get problems(): readonly string[] {
    return this.#problems;
  }

  #renew(access: ApiAccess): void {
    this.#access = access;
    const identity = identityOf(access);
    if (typeof identity !== 'string') this.#server?.renew(identity);
  }

  /** Resolves to whether it listens on all of them. */
  async listenOn(addresses: readonly string[]): Promise<boolean> {
    const identity = identityOf(this.#access);
    if (typeof identity === 'string') {
      this.#problems = [`${NOT_SERVED}: the kubeconfig names no ${identity}`];
      return true;
    }
    const { port } = this.#parts;
    const problems: string[] = [];
    for (const address of new Set([LOOPBACK, ...addresses])) {
      if (this.#listening.has(address)) continue;
      try {
        await (await this.#serverOf(identity)).listen(address, port);
        this.#listening.add(address);
      } catch (error) {
        problems.push(`${NOT_SERVED} on ${address} port ${port}: ${describeError(error)}`);
      }
    }
    this.#problems = problems;
    return problems.length === 0;
  }

  async #serverOf(identity: NodeIdentity): Promise<NodeServer> {
    // Loaded where there is an API alone, as its libraries are large.
    const { NodeServer } = await import('./node-server.ts');
    this.#server ??= new NodeServer({ ...this.#parts, identity });
    return this.#server;
  }

  async close(): Promise<void> {
    await this.#server?.close();
  }
}

/** Or what is missing. */
function identityOf({ authority, certificate, key }: ApiAccess): NodeIdentity | string {
  if (authority === undefined) return 'certificate-authority';
  if (certificate === undefined || key === undefined) return 'client-certificate with its key';
  return { authority, certificate, key };
}
