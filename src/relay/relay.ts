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
import type { EndpointCounts, Target } from './endpoint-picker.ts';
import { candidates, type PortRange } from './port-range.ts';
import type { ProxyCounts, ProxyPort } from './proxy-port.ts';
import { TcpProxy } from './tcp-proxy.ts';
import { UdpProxy } from './udp-proxy.ts';

/** A service port that wants to be proxied. */
export interface ProxyWish {
  /** Stable name of the service port. */
  key: string;
  /** For problems: `Service default/web: spec.ports: 80/TCP`. */
  title: string;
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
  port: number;
  counts: ProxyCounts;
  endpoints: readonly { target: Target; counts: EndpointCounts }[];
}

export interface RelayOptions {
  /** undefined: any port that is free. */
  range: PortRange | undefined;
  /** TCP connections at once. */
  connections?: number;
  /** UDP conversations at once. */
  conversations?: number;
}

const MOST_CONNECTIONS = 16_384;
const MOST_CONVERSATIONS = 8192;

interface Opened {
  shape: string;
  port: number;
  proxy: ProxyPort;
}

export class Relay {
  readonly #range: PortRange | undefined;
  readonly #connections: Bound;
  readonly #conversations: Bound;
  readonly #opened = new Map<string, Opened>();
  /** Replaced or unwanted; they listen until the tables that lead to them are gone. */
  #leaving: ProxyPort[] = [];
  /** Closed, but for connections that go on. */
  #draining = new Set<ProxyPort>();
  #problems: readonly string[] = [];

  constructor(options: RelayOptions) {
    this.#range = options.range;
    this.#connections = new Bound(options.connections ?? MOST_CONNECTIONS);
    this.#conversations = new Bound(options.conversations ?? MOST_CONVERSATIONS);
  }

  /** Service ports that could not be opened, as sentences. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  /** The proxy port of every service port that has one. */
  ports(): Map<string, number> {
    return new Map([...this.#opened].map(([key, { port }]) => [key, port]));
  }

  /** Opens what is new, tells all others their endpoints. What is not wanted any more goes with retire(). */
  async apply(wishes: readonly ProxyWish[]): Promise<void> {
    const wanted = new Map(wishes.map((wish) => [wish.key, wish]));
    for (const [key, { shape, proxy }] of this.#opened) {
      if (wanted.get(key) && shapeOf(wanted.get(key) as ProxyWish) === shape) continue;
      this.#opened.delete(key);
      this.#leaving.push(proxy);
    }
    const problems: string[] = [];
    for (const wish of wishes) {
      const known = this.#opened.get(wish.key);
      if (known) known.proxy.update(wish.targets);
      else {
        const problem = await this.#open(wish);
        if (problem) problems.push(problem);
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
    for (const proxy of this.#draining) if (proxy.counts().active === 0) this.#draining.delete(proxy);
  }

  status(): ProxyStatus[] {
    return [...this.#opened].map(([key, { port, proxy }]) => ({
      key,
      port,
      counts: proxy.counts(),
      endpoints: proxy.picker.counts(),
    }));
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
  async #open(wish: ProxyWish): Promise<string> {
    const { affinitySeconds, listen, protocol, title } = wish;
    let refusal: NodeJS.ErrnoException | undefined;
    for (const candidate of candidates(this.#range)) {
      const proxy =
        protocol === 'TCP'
          ? new TcpProxy({ affinitySeconds }, this.#connections)
          : new UdpProxy({ affinitySeconds }, this.#conversations);
      proxy.update(wish.targets);
      try {
        const port = await proxy.listen(listen, candidate);
        this.#opened.set(wish.key, { shape: shapeOf(wish), port, proxy });
        return '';
      } catch (error) {
        refusal = error as NodeJS.ErrnoException;
        if (refusal.code !== 'EADDRINUSE') break;
      }
    }
    if (refusal?.code === 'EADDRINUSE' && this.#range) {
      const { first, last } = this.#range;
      return `${title} is not served: no proxy port of ${first}-${last} is free on ${listen}: give a larger range with --proxy-port-range`;
    }
    return `${title} is not served: no proxy port can be opened on ${listen}: ${refusal?.code ?? 'unknown'}`;
  }
}

function shapeOf({ protocol, listen, shape, affinitySeconds }: ProxyWish): string {
  return `${protocol} ${listen} ${affinitySeconds ?? ''} ${shape}`;
}
