/**
 * A pod's localhost as its node reaches it, for `kubectl port-forward`: connections that begin and end in the pod's
 * network namespace, though this process holds them, so that servers are found which listen on loopback alone.
 */
import { setMaxListeners } from 'node:events';
import { Socket } from 'node:net';
import type { NativeAddon } from '../../io/native-addon.ts';
import { AgentError } from '../agent-error.ts';
import { netnsPath } from './pod-network.ts';
import type { PodPlan } from './pod-plan.ts';

/** In turn, as containerd tries them. */
const LOCALHOSTS = [
  { family: 'ipv4', host: '127.0.0.1', name: 'IPv4', dial: 'tcp4 127.0.0.1' },
  { family: 'ipv6', host: '::1', name: 'IPv6', dial: 'tcp6 [::1]' },
] as const;

/** A server that is there answers at once, unless it has fallen far behind. */
const CONNECT_MS = 10_000;

export class PodLoopback {
  readonly #pod: Pick<PodPlan, 'key' | 'netns'>;
  readonly #native: Pick<NativeAddon, 'openTcp'>;
  readonly #connectMs: number;
  readonly #end = new AbortController();

  /** A pod without `netns` is in the host's network. */
  constructor(
    pod: Pick<PodPlan, 'key' | 'netns'>,
    native: Pick<NativeAddon, 'openTcp'>,
    connectMs: number = CONNECT_MS,
  ) {
    this.#pod = pod;
    this.#native = native;
    this.#connectMs = connectMs;
    // As many listen as connections are forwarded.
    setMaxListeners(0, this.#end.signal);
  }

  /** Given when the pod's containers have ended. */
  get ended(): AbortSignal {
    return this.#end.signal;
  }

  close(): void {
    this.#end.abort();
  }

  /** Ends of the connection are told apart (`allowHalfOpen`). Rejects with AgentError, in containerd's words. */
  async connect(port: number): Promise<Socket> {
    const failures: string[] = [];
    for (const { family, host, name, dial } of LOCALHOSTS) {
      if (this.ended.aborted) throw new AgentError('pod-not-running', `Pod ${this.#pod.key} is not running`);
      try {
        return await this.#dial(family, host, port);
      } catch (error) {
        failures.push(`${name}: dial ${dial}:${port}: ${wordsOf(error as NodeJS.ErrnoException)}`);
      }
    }
    const where = `localhost:${port} inside namespace "${this.#pod.netns || 'host'}"`;
    throw new AgentError('no-connection', `failed to connect to ${where}, ${failures.join(' ')}`);
  }

  /** Rejects with the system's error. */
  #dial(family: 'ipv4' | 'ipv6', host: string, port: number): Promise<Socket> {
    const { netns } = this.#pod;
    return new Promise((resolve, reject) => {
      const fd = this.#native.openTcp({ family, netns: netns && netnsPath(netns) });
      const socket = new Socket({ fd, readable: true, writable: true, allowHalfOpen: true });
      const late = Object.assign(new Error('i/o timeout'), { code: 'ETIMEDOUT' });
      const timer = setTimeout(() => socket.destroy(late), this.#connectMs);
      socket.on('error', (error) => {
        clearTimeout(timer);
        reject(error);
      });
      socket.connect({ host, port }, () => {
        clearTimeout(timer);
        resolve(socket);
      });
    });
  }
}

function wordsOf({ code, message }: NodeJS.ErrnoException): string {
  if (code === 'ECONNREFUSED') return 'connect: connection refused';
  if (code === 'ETIMEDOUT') return 'i/o timeout';
  return message;
}
