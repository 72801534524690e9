/**
 * What this host knows of the way to the others: probed when they appear, again while something is wrong, and on
 * demand. Two questions per peer: does the host answer on the underlay, and with which path MTU; does its gateway
 * answer through the overlay.
 */
import { describeError } from './agent-error.ts';
import { IcmpProber } from './icmp-prober.ts';
import { OVERLAY_BYTES } from './options.ts';
import type { PeerStatus, ProbeResult } from './status.ts';

export interface Peer {
  node: string;
  address: string;
  gateway: string;
  podCidr: string;
}

export interface PeerContext {
  /** IP packets on the underlay that pods' packets of full size make. */
  neededMtu: number;
  udpPort: number;
}

/** Waits before a peer with a problem is asked again. */
const RETRY_MS = [1000, 3000, 10_000, 30_000, 60_000];
const PROBE = { count: 3, timeoutMs: 400 };
/** Unasked for, one echo each: a cluster that starts has better to do. */
const QUIET_PROBE = { count: 1, timeoutMs: 400 };

export class PeerProbes {
  readonly #results = new Map<string, PeerStatus>();
  readonly #attempts = new Map<string, number>();
  readonly #changed: () => void;
  #peers: readonly Peer[] = [];
  #context: PeerContext = { neededMtu: 0, udpPort: 0 };
  #prober: IcmpProber | undefined;
  #timer: NodeJS.Timeout | undefined;
  #unavailable = '';
  #closed = false;

  /** `changed`: a result differs from the one before. */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  update(peers: readonly Peer[], context: PeerContext): void {
    const same = JSON.stringify([peers, context]) === JSON.stringify([this.#peers, this.#context]);
    this.#peers = peers;
    this.#context = context;
    if (same) return;
    this.#attempts.clear();
    const names = new Set(peers.map((p) => p.node));
    for (const name of this.#results.keys()) if (!names.has(name)) this.#results.delete(name);
    this.#schedule(0);
  }

  status(): PeerStatus[] {
    return this.#peers.map((peer) => this.#results.get(peer.node) ?? emptyStatus(peer));
  }

  /** What stands in the way of pods' packets, once it has been seen twice. */
  problems(): string[] {
    const lasting = this.status().filter((status) => (this.#attempts.get(status.node) ?? 0) > 1);
    return [...(this.#unavailable ? [this.#unavailable] : []), ...lasting.flatMap((status) => status.problems)];
  }

  /** Probes one peer, by node name or address, or all, now. Throws where ICMP is not to be had. */
  async probe(host: string | undefined): Promise<PeerStatus[]> {
    const peers = this.#peers.filter((p) => host === undefined || p.node === host || p.address === host);
    const prober = this.#open();
    return Promise.all(peers.map((peer) => this.#ask(prober, peer, PROBE)));
  }

  #open(): IcmpProber {
    this.#prober ??= IcmpProber.open();
    return this.#prober;
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer);
    if (this.#closed || this.#unavailable) return;
    this.#timer = setTimeout(() => {
      this.#round().catch((error) => {
        this.#unavailable = describeError(error);
        this.#changed();
      });
    }, delayMs);
    this.#timer.unref();
  }

  async #round(): Promise<void> {
    const due = this.#peers.filter((p) => {
      const known = this.#results.get(p.node);
      return !known || known.problems.length > 0 || !this.#attempts.has(p.node);
    });
    if (due.length === 0) return;
    const before = JSON.stringify(this.problems());
    const prober = this.#open();
    await Promise.all(due.map((peer) => this.#ask(prober, peer, QUIET_PROBE)));
    if (JSON.stringify(this.problems()) !== before) this.#changed();
    const tries = Math.max(...due.map((p) => this.#attempts.get(p.node) ?? 1));
    this.#schedule(RETRY_MS[Math.min(tries, RETRY_MS.length) - 1] as number);
  }

  async #ask(prober: IcmpProber, peer: Peer, options: { count: number; timeoutMs: number }): Promise<PeerStatus> {
    const [underlay, overlay] = await Promise.all([
      prober.probe(peer.address, { ...options, wantedMtu: this.#context.neededMtu }),
      prober.probe(peer.gateway, options),
    ]);
    const problems = peerProblems(peer, underlay, overlay, this.#context);
    const status = { ...emptyStatus(peer), underlay, overlay, problems, probedAt: new Date().toISOString() };
    this.#results.set(peer.node, status);
    this.#attempts.set(peer.node, (this.#attempts.get(peer.node) ?? 0) + 1);
    return status;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#prober?.close();
    this.#prober = undefined;
  }
}

function emptyStatus(peer: Peer): PeerStatus {
  const { node, address, podCidr } = peer;
  return { node, address, podCidr, underlay: undefined, overlay: undefined, problems: [], probedAt: '' };
}

export function peerProblems(peer: Peer, underlay: ProbeResult, overlay: ProbeResult, context: PeerContext): string[] {
  const name = `Node ${peer.node} (${peer.address})`;
  if (!underlay.reachable && !overlay.reachable) {
    return [`${name} does not answer: check that the host is up, its InternalIP right, and that ICMP is let through`];
  }
  const problems: string[] = [];
  const { pathMtu } = underlay;
  if (pathMtu !== undefined && pathMtu < context.neededMtu) {
    problems.push(
      `the path to ${name} takes packets of ${pathMtu} bytes, full packets of pods need ${context.neededMtu}: ` +
        `raise the MTU on the way, or start every agent with --mtu ${pathMtu - OVERLAY_BYTES}`,
    );
  }
  if (!overlay.reachable) {
    problems.push(
      `${name} answers, but its gateway ${peer.gateway} does not through the overlay: ` +
        `check that weft agent runs there and that UDP port ${context.udpPort} is let through both ways`,
    );
  }
  return problems;
}
