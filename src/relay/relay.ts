/**
 * The socket relay of one host: a proxy port for each service port in userspace mode, to which the dataplane
 * redirects what is for the service.
 *
 *   client ──▶ dataplane ──▶ gateway:proxy port ──▶ relay ──dials──▶ endpoint
 *
 * Ports are opened before the tables that lead to them are in force and closed when none do any more: apply(), then
 * publish, then retire(). Only addresses and sockets here; who is served where is the caller's.
 */
import { Bound } from './bound.ts';
import { ConversationRoom } from './conversation-room.ts';
import type { EndpointCounts, Target } from './endpoint-picker.ts';
import { candidates, type PortRange } from './port-range.ts';
import type { ProxyCounts, ProxyPort } from './proxy-port.ts';
import { TcpProxy } from './tcp-proxy.ts';
import { UdpProxy } from './udp-proxy.ts';

/** A service port that wants to be proxied. */
export interface ProxyRequest {
  /** Stable name of the service port. */
  key: string;
  /** For problems: `Service default/web`. */
  title: string;
  /** Of it, for problems: `80/TCP`. */
  name: string;
  protocol: 'TCP' | 'UDP';
  /** Address that the proxy listens on. */
  listen: string;
  /** All that makes it a new service port when it changes: then it is opened anew. */
  shape: string;
  targets: readonly Target[];
  /** undefined: none. */
  affinitySeconds: number | undefined;
}

export interface ProxyStatus {
  key: string;
  address: string;
  port: number;
  counts: ProxyCounts;
  endpoints: readonly { target: Target; counts: EndpointCounts }[];
}

export interface RelayProblem {
  title: string;
  message: string;
}

export interface RelayOptions {
  /** undefined: any port that is free. */
  range: PortRange | undefined;
  /** TCP connections at once. */
  connections?: number;
  /** UDP conversations at once. */
  conversations?: number;
}

/** Each may hold some 100 KB where its ends do not read. */
const MOST_CONNECTIONS = 8192;
const MOST_CONVERSATIONS = 8192;

interface Opened {
  shape: string;
  listen: string;
  port: number;
  proxy: ProxyPort;
}

export class Relay {
  readonly #range: PortRange | undefined;
  readonly #connections: Bound;
  readonly #conversations: ConversationRoom;
  readonly #opened = new Map<string, Opened>();
  /** Replaced or unwanted; they listen until the tables that lead to them are gone. */
  #leaving: ProxyPort[] = [];
  /** Closed, but for connections that go on. */
  #draining = new Set<ProxyPort>();
  #problems: readonly RelayProblem[] = [];
  /** Of ports that are gone. */
  readonly #past: ProxyCounts = { accepted: 0, active: 0, moved: 0, failed: 0, limited: 0 };

  constructor(options: RelayOptions) {
    this.#range = options.range;
    this.#connections = new Bound(options.connections ?? MOST_CONNECTIONS);
    this.#conversations = new ConversationRoom(options.conversations ?? MOST_CONVERSATIONS);
  }

  /** Service ports that could not be opened. */
  get problems(): readonly RelayProblem[] {
    return this.#problems;
  }

  /** The proxy port of every service port that has one. */
  ports(): Map<string, number> {
    return new Map([...this.#opened].map(([key, { port }]) => [key, port]));
  }

  /** Opens what is new, tells all others their endpoints. What is not wanted any more goes with retire(). */
  async apply(requests: readonly ProxyRequest[]): Promise<void> {
    const wanted = new Map(requests.map((request) => [request.key, request]));
    for (const [key, { shape, proxy }] of this.#opened) {
      if (wanted.get(key) && shapeOf(wanted.get(key) as ProxyRequest) === shape) continue;
      this.#opened.delete(key);
      this.#leaving.push(proxy);
    }
    const problems: RelayProblem[] = [];
    for (const request of requests) {
      const known = this.#opened.get(request.key);
      if (known) known.proxy.update(request.targets);
      else {
        const message = await this.#open(request);
        if (message) problems.push({ title: request.title, message });
      }
    }
    this.#problems = problems;
  }

  /** Closes what nothing leads to any more. TCP connections go on; UDP conversations have ended. */
  retire(): void {
    for (const proxy of this.#leaving) {
      proxy.close();
      this.#draining.add(proxy);
    }
    this.#leaving = [];
    for (const proxy of this.#draining) {
      const counts = proxy.counts();
      if (counts.active > 0) continue;
      this.#draining.delete(proxy);
      add(this.#past, counts);
    }
  }

  status(): ProxyStatus[] {
    return [...this.#opened].map(([key, { listen, port, proxy }]) => ({
      key,
      address: listen,
      port,
      counts: proxy.counts(),
      endpoints: proxy.picker.counts(),
    }));
  }

  /** Of all ports together, those that are closed included. */
  counts(): ProxyCounts & { ports: number } {
    const sum = { ...this.#past, ports: this.#opened.size };
    const open = [...this.#opened.values()].map(({ proxy }) => proxy);
    for (const proxy of [...open, ...this.#leaving, ...this.#draining]) add(sum, proxy.counts());
    return sum;
  }

  /** Ends everything. */
  close(): void {
    for (const { proxy } of this.#opened.values()) proxy.abort();
    for (const proxy of [...this.#leaving, ...this.#draining]) proxy.abort();
    this.#opened.clear();
    this.#leaving = [];
    this.#draining.clear();
  }

  /** What went wrong, or ''. */
  async #open(request: ProxyRequest): Promise<string> {
    const { affinitySeconds, listen, name, protocol } = request;
    let refusal: NodeJS.ErrnoException | undefined;
    for (const candidate of candidates(this.#range)) {
      const proxy =
        protocol === 'TCP'
          ? new TcpProxy({ affinitySeconds }, this.#connections)
          : new UdpProxy({ affinitySeconds }, this.#conversations);
      proxy.update(request.targets);
      try {
        const port = await proxy.listen(listen, candidate);
        this.#opened.set(request.key, { shape: shapeOf(request), listen, port, proxy });
        return '';
      } catch (error) {
        refusal = error as NodeJS.ErrnoException;
        if (refusal.code !== 'EADDRINUSE') break;
      }
    }
    if (refusal?.code === 'EADDRINUSE' && this.#range) {
      const { first, last } = this.#range;
      return `spec.ports: ${name} is not served: no proxy port of ${first}-${last} is free on ${listen}: give a larger --proxy-port-range`;
    }
    return `spec.ports: ${name} is not served: no proxy port can be opened on ${listen}: ${refusal?.code ?? 'unknown'}`;
  }
}

function shapeOf({ protocol, listen, shape, affinitySeconds }: ProxyRequest): string {
  return `${protocol} ${listen} ${affinitySeconds ?? ''} ${shape}`;
}

function add(sum: ProxyCounts, counts: ProxyCounts): void {
  sum.accepted += counts.accepted;
  sum.active += counts.active;
  sum.moved += counts.moved;
  sum.failed += counts.failed;
  sum.limited += counts.limited;
}
