/**
 * The DNS server of a host's process: UDP and TCP on the cluster's DNS address, the sockets around a Responder. Every
 * host runs one at the same address, with the same answers.
 */
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram';
import { createServer, isIP, type Server, type Socket } from 'node:net';
import type { NameTable } from '../tables/names.ts';
import { parseAddress } from '../wire/address.ts';
import type { Prefix } from '../wire/prefix.ts';
import type { ClusterRecords } from './cluster-records.ts';
import { RCODE, rcodeName } from './codes.ts';
import { countReason, type DnsCounters, newDnsCounters } from './counters.ts';
import type { Explanation } from './explain.ts';
import { Forwarder, type StubDomain } from './forwarder.ts';
import type { PodNames } from './pod-records.ts';
import { QueryLog, type QueryLogEntry } from './query-log.ts';
import { ReadyAnswers } from './ready-answers.ts';
import { Resolver } from './resolver.ts';
import { type DnsLog, Responder } from './responder.ts';
import { serveTcpSession } from './tcp-session.ts';

export interface DnsServerOptions {
  /** An address of this host: the cluster DNS address on weft0. */
  address: string;
  /** Further ones to answer at, of the same port: the cluster DNS address of the other family. */
  otherAddresses?: readonly string[];
  /** 53; 0 lets the system choose, for tests. */
  port: number;
  /** `cluster.local`. */
  domain: string;
  /** The same object for as long as nothing changed; undefined until the cluster is known: SERVFAIL until then. */
  records: () => ClusterRecords | undefined;
  /** The host's resolvers, `10.0.0.1` or `10.0.0.1:5353`; our own address among them is left out. */
  upstreams: readonly string[];
  stubs?: readonly StubDomain[];
  /** Text of the host's resolv.conf, from which pods inherit search paths. */
  hostResolvConf?: () => string;
  /** Whether names are completed along the asking pod's search path; true by default. */
  autopath?: boolean;
  /** How many questions are kept to be shown; 0 by default. */
  queryLogEntries?: number;
  /** Room for answers of upstreams; 0: none is kept. 4 MB by default, some ten thousand answers. */
  cacheBytes?: number;
  /** Whether to find out if an upstream leads back to us; true by default. */
  detectLoops?: boolean;
  /** Who may fetch whole zones, `10.244.0.0/16`; nobody by default. */
  transferTo?: readonly Prefix[];
  /** Whoever answers questions without this server; not used where questions are logged. */
  fast?: FastAnswers;
  /** How long a question waits for the cluster to be known; 5 s by default. */
  syncWaitMs?: number;
  /** TTL of the cluster's own records; 5 by default. */
  ttlSeconds?: number;
  /** Which names pods have; `verified` by default. */
  podNames?: PodNames;
  log?: DnsLog;
  /** An upstream leads back to us and is not asked any more. */
  onLoop?: (upstream: string) => void;
  upstreamTimeoutMs?: number;
  hedgeMs?: number;
  probeMs?: number;
  staleAfterMs?: number;
  failureMs?: number;
  pendingForwards?: number;
  tcpIdleMs?: number;
  tcpConnections?: number;
  /** Of these for one client, so that none keeps all others out. */
  tcpConnectionsPerClient?: number;
}

/** The dataplane's workers, as this server knows them. */
export interface FastAnswers {
  /** From now on answer these questions, and no others. */
  publish: (table: NameTable) => void;
  /** How many have been answered. */
  answered: () => number;
}

/** code: `DNS_BIND`. */
export class DnsServerError extends Error {
  readonly code = 'DNS_BIND';
  override readonly name = 'DnsServerError';
}

const NO_ERROR = rcodeName(RCODE.noError);
const CACHE_BYTES = 4 << 20;
const TCP_IDLE_MS = 10_000;
const TCP_CONNECTIONS = 128;
const TCP_CONNECTIONS_PER_CLIENT = 32;
/** With port 0 the port that UDP got may be taken in TCP. */
const BIND_TRIES = 10;

/** The sockets of one address. */
interface Listener {
  udp: UdpSocket;
  tcp: Server;
}

export class DnsServer {
  readonly #listeners: readonly Listener[];
  readonly #sessions = new Set<Socket>();
  readonly #connectionsOf = new Map<string, number>();
  readonly #counters: DnsCounters;
  readonly #responder: Responder;
  readonly #forwarder: Forwarder;
  readonly #options: DnsServerOptions;
  readonly #log: QueryLog;
  readonly #ready: ReadyAnswers | undefined;
  #closed: Promise<void> | undefined;

  private constructor(options: DnsServerOptions, listeners: readonly Listener[]) {
    this.#options = options;
    this.#listeners = listeners;
    this.#counters = newDnsCounters();
    const { address, domain, records, log } = options;
    const addresses = addressesOf(options);
    const counters = this.#counters;
    this.#log = new QueryLog(options.queryLogEntries ?? 0);
    this.#forwarder = new Forwarder({
      upstreams: options.upstreams,
      own: { address, port: this.port },
      counters,
      ...defined({
        stubs: options.stubs,
        timeoutMs: options.upstreamTimeoutMs,
        pendingLimit: options.pendingForwards,
        detectLoops: options.detectLoops,
        onLoop: options.onLoop,
        hedgeMs: options.hedgeMs,
        probeMs: options.probeMs,
      }),
    });
    const forwarder = this.#forwarder;
    // What is answered elsewhere would be missing from the log.
    const fast = this.#log.isOn ? undefined : options.fast;
    const servers = addresses.map(parseAddress).filter((server) => server !== undefined);
    this.#ready = fast && new ReadyAnswers({ servers, publish: fast.publish });
    const cacheBytes = options.cacheBytes ?? CACHE_BYTES;
    this.#responder = new Responder({
      domain,
      address,
      records,
      forwarder,
      resolver: new Resolver({
        forwarder,
        counters,
        cacheBytes,
        ...defined({ staleAfterMs: options.staleAfterMs, failureMs: options.failureMs }),
      }),
      counters,
      queryLog: this.#log,
      ...defined({
        otherAddresses: options.otherAddresses,
        transferTo: options.transferTo,
        hostResolvConf: options.hostResolvConf,
        autopath: options.autopath,
        ready: this.#ready,
        syncWaitMs: options.syncWaitMs,
        ttlSeconds: options.ttlSeconds,
        podNames: options.podNames,
        log,
      }),
    });
    for (const { udp, tcp } of listeners) {
      udp.on('message', (message, remote) => void this.#datagram(udp, message, remote));
      udp.on('error', (error) => this.#broken(error, 'UDP'));
      tcp.on('connection', (socket) => this.#connection(socket));
      tcp.on('drop', () => this.#counters.tcp.overflowed++);
      tcp.on('error', (error) => this.#broken(error, 'TCP'));
    }
  }

  /** Resolves when all sockets listen. @throws DnsServerError naming the address and what to do. */
  static async start(options: DnsServerOptions): Promise<DnsServer> {
    const listeners: Listener[] = [];
    try {
      for (const address of addressesOf(options)) {
        const port = listeners[0]?.udp.address().port ?? options.port;
        listeners.push(await listenAt(address, port, options));
      }
      return new DnsServer(options, listeners);
    } catch (error) {
      for (const { udp, tcp } of listeners) {
        udp.close();
        tcp.close();
      }
      throw error;
    }
  }

  get port(): number {
    return this.#listeners[0]?.udp.address().port ?? 0;
  }

  /** The resolvers in use for names outside the cluster, as `address:port`. */
  get upstreams(): readonly string[] {
    return this.#forwarder.upstreams;
  }

  /** The cluster's records may be other ones now: what is answered elsewhere must not be out of date. */
  recordsChanged(): void {
    this.#responder.recordsChanged();
  }

  /** The host's resolv.conf is another one now. */
  hostChanged(upstreams: readonly string[]): void {
    this.#forwarder.setUpstreams(upstreams);
    this.#responder.hostChanged();
  }

  /** What happens when a pod looks a name up; nothing when there is no such pod, or no cluster yet. */
  explain(pod: string, name: string): Promise<Explanation | undefined> {
    return this.#responder.explain(pod, name);
  }

  /** The last questions, oldest first; nothing where none are kept. */
  queryLog(): QueryLogEntry[] | undefined {
    return this.#log.isOn ? this.#log.entries() : undefined;
  }

  /** A copy. */
  counters(): DnsCounters {
    const { queries, answers, tcp } = this.#counters;
    const hits = this.#options.fast?.answered() ?? 0;
    const noError = (answers[NO_ERROR] ?? 0) + hits;
    return structuredClone({
      ...this.#counters,
      queries: { ...queries, udp: queries.udp + hits },
      answers: noError > 0 ? { ...answers, [NO_ERROR]: noError } : answers,
      ready: { hits, entries: this.#ready?.entries ?? 0, bytes: this.#ready?.bytes ?? 0 },
      tcp: { ...tcp, open: this.#sessions.size },
    });
  }

  /** Resolves when both sockets are closed and nothing is under way. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#forwarder.close();
    this.#ready?.close();
    const closed = this.#listeners.flatMap(({ udp, tcp }) => [
      new Promise<void>((resolve) => tcp.close(() => resolve())),
      new Promise<void>((resolve) => udp.close(resolve)),
    ]);
    for (const socket of this.#sessions) socket.destroy();
    await Promise.all(closed);
  }

  async #datagram(udp: UdpSocket, message: Buffer, remote: RemoteInfo): Promise<void> {
    if (remote.port === 0) {
      countReason(this.#counters.dropped, 'portZero');
      return;
    }
    const reply = await this.#responder.respond(message, { transport: 'udp', address: remote.address });
    if (!reply || this.#closed) return;
    try {
      udp.send(reply, remote.port, remote.address, (error) => error && this.#counters.errors++);
    } catch {
      this.#counters.errors++;
    }
  }

  #connection(socket: Socket): void {
    const { tcpConnectionsPerClient = TCP_CONNECTIONS_PER_CLIENT } = this.#options;
    const address = socket.remoteAddress ?? '';
    const own = this.#connectionsOf.get(address) ?? 0;
    if (own >= tcpConnectionsPerClient) {
      this.#counters.tcp.overflowed++;
      socket.destroy();
      return;
    }
    this.#connectionsOf.set(address, own + 1);
    this.#sessions.add(socket);
    this.#counters.tcp.accepted++;
    socket.on('error', () => this.#counters.tcp.failed++);
    socket.on('close', () => {
      this.#sessions.delete(socket);
      const left = (this.#connectionsOf.get(address) ?? 1) - 1;
      if (left > 0) this.#connectionsOf.set(address, left);
      else this.#connectionsOf.delete(address);
    });
    const client = { transport: 'tcp', address } as const;
    serveTcpSession(socket, {
      transfer: (message) => this.#responder.transfer(message, client),
      respond: (message) => this.#responder.respond(message, client),
      idleMs: this.#options.tcpIdleMs ?? TCP_IDLE_MS,
      onIdle: () => this.#counters.tcp.idleClosed++,
    });
  }

  #broken(error: Error, transport: string): void {
    this.#counters.errors++;
    this.#options.log?.warn({ err: error }, `DNS server's ${transport} socket failed`);
  }
}

function addressesOf({ address, otherAddresses = [] }: DnsServerOptions): string[] {
  return [address, ...otherAddresses];
}

/** @throws DnsServerError */
async function listenAt(address: string, wanted: number, options: DnsServerOptions): Promise<Listener> {
  for (let tries = 1; ; tries++) {
    const udp = createSocket(isIP(address) === 6 ? 'udp6' : 'udp4');
    const tcp = createServer({ allowHalfOpen: true, noDelay: true });
    // Until the server stands: an error without a listener would end the process.
    udp.on('error', () => {});
    tcp.on('error', () => {});
    tcp.maxConnections = options.tcpConnections ?? TCP_CONNECTIONS;
    try {
      await listening(udp, () => udp.bind({ address, port: wanted, exclusive: true }));
      const { port } = udp.address();
      await listening(tcp, () => tcp.listen({ host: address, port, exclusive: true }));
      return { udp, tcp };
    } catch (error) {
      udp.close();
      tcp.close();
      const busy = errorCode(error) === 'EADDRINUSE';
      if (!busy || wanted !== 0 || tries === BIND_TRIES) throw bindError(address, wanted, error);
    }
  }
}

function listening(socket: UdpSocket | Server, open: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: Error): void => reject(error);
    socket.once('error', onError);
    socket.once('listening', () => {
      socket.off('error', onError);
      resolve();
    });
    open();
  });
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Without what is undefined, so that defaults hold. */
function defined<T extends object>(options: T): Defined<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Defined<T>;
}

const BIND_HINTS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process has this port: stop it, or choose another cluster DNS address',
  EADDRNOTAVAIL: 'no device has this address: it belongs on weft0',
  EACCES: 'ports under 1024 need root or CAP_NET_BIND_SERVICE',
};

function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

function bindError(address: string, port: number, cause: unknown): DnsServerError {
  const code = errorCode(cause);
  const hint = BIND_HINTS[code] ?? (cause instanceof Error ? cause.message : String(cause));
  const place = `DNS server ${address}:${port}`;
  return new DnsServerError(`${place}: ${code ? `${code}: ` : ''}${hint}`, { cause });
}
