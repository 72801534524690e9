/**
 * The node's server within the agent: it listens on loopback and on the node's own addresses as soon as they are
 * there, and knows the API server by the authority of the kubeconfig. Its certificate is the agent's own.
 */
import type { NativeAddon } from '../../io/native-addon.ts';
import type { ApiAccess } from '../../kube/kubeconfig.ts';
import type { PodAccess } from '../pods/pod-access.ts';
import type { NodeServer, NodeServerOptions } from './node-server.ts';

const LOOPBACK = '127.0.0.1';

export interface NodeEndpointParts {
  access: ApiAccess;
  port: number;
  pods: PodAccess;
  native: NativeAddon;
}

export class NodeEndpoint {
  readonly #port: number;
  readonly #parts: NodeServerOptions | undefined;
  #server: NodeServer | undefined;
  readonly #listening = new Set<string>();
  #problems: readonly string[] = [];

  constructor({ access, port, pods, native }: NodeEndpointParts) {
    const { authority, certificate, key } = access;
    this.#port = port;
    if (authority !== undefined && certificate !== undefined && key !== undefined) {
      this.#parts = { authority, certificate, key, pods, native };
    } else {
      const missing = authority === undefined ? 'certificate-authority' : 'client-certificate with its key';
      this.#problems = [`kubectl logs and exec are not served: the kubeconfig names no ${missing}`];
    }
  }

  get problems(): readonly string[] {
    return this.#problems;
  }

  /** Resolves to whether it listens on all of them. */
  async listenOn(addresses: readonly string[]): Promise<boolean> {
    if (!this.#parts) return true;
    // Loaded where there is an API alone, as its libraries are large.
    const { NodeServer } = await import('./node-server.ts');
    this.#server ??= new NodeServer(this.#parts);
    const server = this.#server;
    const problems: string[] = [];
    for (const address of new Set([LOOPBACK, ...addresses])) {
      if (this.#listening.has(address)) continue;
      try {
        await server.listen(address, this.#port);
        this.#listening.add(address);
      } catch (error) {
        problems.push(
          `kubectl logs and exec are not served on ${address} port ${this.#port}: ${(error as Error).message}`,
        );
      }
    }
    this.#problems = problems;
    return problems.length === 0;
  }

  async close(): Promise<void> {
    await this.#server?.close();
  }
}
