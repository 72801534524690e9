/**
 * What this host knows of the way to the others: probed when they appear, from time to time, more often while something
 * is wrong, and on demand. Two questions per peer: does the host answer on the underlay, and with which path MTU; does
 * its gateway answer through the overlay.
 */
import type { ClusterNode } from '../../control/model.ts';
import { podCidrs, sharedAddress } from '../../control/overlay-backend.ts';
import { formatAddress, formatAddress4 } from '../../wire/address.ts';
import { formatPrefix } from '../../wire/prefix.ts';
import { describeError } from '../agent-error.ts';
import type { PeerStatus, ProbeResult } from '../status.ts';
import { IcmpProber } from './icmp-prober.ts';

export interface Peer {
  node: string;
  /** Where it is reached on the underlay. */
  address: string;
  /** Inside of the overlay: the IPv4 one, then the IPv6 one where there is one. */
  gateways: readonly string[];
  podCidr: string;
}

export interface PeerContext {
  /** IP packets on the underlay that pods' packets of full size make. */
  neededMtu: number;
  /** Of those, what the backend puts around each. */
  overlayBytes: number;
  udpPort: number;
}

/** The nodes that share a family of addresses with this one. `withIpv6`: pods' packets go to them in IPv6 too. */
export function peersOf(nodes: Iterable<ClusterNode>, own: ClusterNode, withIpv6: boolean): Peer[] {
  return [...nodes].flatMap((node) => {
    const address = node === own ? undefined : sharedAddress(own, node);
    if (!address) return [];
    const gateway6 = own.gateway6 && withIpv6 ? node.gateway6 : undefined;
    return {
      node: node.name,
      address: formatAddress(address),
      gateways: [formatAddress4(node.gateway4), ...(gateway6 ? [formatAddress(gateway6)] : [])],
      podCidr: podCidrs(node).map(formatPrefix).join(),
    };
  });
}

/** Hosts that start together get this long to be there. */
const FIRST_PROBE_MS = 500;
/** Waits before all are asked again while one has a problem. */
const RETRY_MS = [1000, 3000];
/** And while none has: this long, or a second per peer, so that the hosts of a large lab leave each other alone. */
const WATCH_MS = 10_000;
const WATCH_MS_PER_PEER = 1000;
/** One silence may be an accident. */
const LASTING_FAILURES = 2;
const PROBE = { count: 3, timeoutMs: 400 };
/** Of a peer that was well so far, one echo: a cluster that starts has better to do. */
const QUIET_PROBE = { count: 1, timeoutMs: 400 };

export class PeerProbes {
  readonly #results = new Map<string, PeerStatus>();
  /** Probes in a row that found a problem, by node. */
  readonly #failures = new Map<string, number>();
  readonly #changed: () => void;
  #peers: readonly Peer[] = [];
  #context: PeerContext = { neededMtu: 0, overlayBytes: 0, udpPort: 0 };
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
    this.#failures.clear();
    const names = new Set(peers.map((p) => p.node));
    for (const name of this.#results.keys()) if (!names.has(name)) this.#results.delete(name);
    this.#schedule(FIRST_PROBE_MS);
  }

  status(): PeerStatus[] {
    return this.#peers.map((peer) => this.#results.get(peer.node) ?? emptyStatus(peer));
  }

  /** What stands in the way of pods' packets, once it has been seen twice. */
  problems(): string[] {
    const lasting = this.status().filter((status) => this.#failuresOf(status) >= LASTING_FAILURES);
    return [...(this.#unavailable ? [this.#unavailable] : []), ...lasting.flatMap((status) => status.problems)];
  }

  /**
   * Largest IP packets that the underlay takes to peers, by node: where pods' full packets need more, and that has been
   * seen twice.
   */
  pathMtus(): ReadonlyMap<string, number> {
    const mtus = new Map<string, number>();
    for (const { node, underlay } of this.status()) {
      const pathMtu = underlay?.pathMtu;
      const small = pathMtu !== undefined && pathMtu < this.#context.neededMtu;
      if (small && this.#failuresOf({ node }) >= LASTING_FAILURES) mtus.set(node, pathMtu);
    }
    return mtus;
  }

  /** Probes one peer, by node name or address, or all, now. Throws where ICMP is not to be had. */
  async probe(host: string | undefined): Promise<PeerStatus[]> {
    const peers = this.#peers.filter((p) => host === undefined || p.node === host || p.address === host);
    const prober = this.#open();
    const before = JSON.stringify(this.problems());
    const asked = await Promise.all(peers.map((peer) => this.#ask(prober, peer, PROBE)));
    if (JSON.stringify(this.problems()) !== before) this.#changed();
    return asked;
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
    if (this.#peers.length === 0) return;
    const before = JSON.stringify(this.problems());
    const prober = this.#open();
    await Promise.all(
      this.#peers.map((peer) => this.#ask(prober, peer, this.#failuresOf(peer) > 0 ? PROBE : QUIET_PROBE)),
    );
    if (JSON.stringify(this.problems()) !== before) this.#changed();
    const worst = Math.max(...this.#peers.map((peer) => this.#failuresOf(peer)));
    const watch = Math.max(WATCH_MS, this.#peers.length * WATCH_MS_PER_PEER);
    this.#schedule(worst === 0 ? watch : (RETRY_MS[worst - 1] ?? watch));
  }

  #failuresOf({ node }: { node: string }): number {
    return this.#failures.get(node) ?? 0;
  }

  async #ask(prober: IcmpProber, peer: Peer, options: { count: number; timeoutMs: number }): Promise<PeerStatus> {
    const [underlay, overlay, overlay6] = await Promise.all([
      prober.probe(peer.address, { ...options, wantedMtu: this.#context.neededMtu }),
      prober.probe(peer.gateways[0] as string, options),
      peer.gateways[1] === undefined ? undefined : prober.probe(peer.gateways[1], options),
    ]);
    const problems = peerProblems(peer, underlay, [overlay, ...(overlay6 ? [overlay6] : [])], this.#context);
    const status = { ...emptyStatus(peer), underlay, overlay, overlay6, problems, probedAt: new Date().toISOString() };
    this.#results.set(peer.node, status);
    this.#failures.set(peer.node, problems.length === 0 ? 0 : this.#failuresOf(peer) + 1);
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
  return {
    node,
    address,
    podCidr,
    underlay: undefined,
    overlay: undefined,
    overlay6: undefined,
    problems: [],
    probedAt: '',
  };
}

/** `overlay`: of each of its gateways. */
export function peerProblems(
  peer: Pick<Peer, 'node' | 'address'>,
  underlay: ProbeResult,
  overlay: readonly ProbeResult[],
  context: PeerContext,
): string[] {
  const name = `Node ${peer.node} (${peer.address})`;
  const silent = overlay.filter((each) => !each.reachable).map((each) => each.address);
  if (!underlay.reachable && silent.length === overlay.length) {
    return [`${name} does not answer: check that the host is up, its InternalIP right, and that ICMP is let through`];
  }
  const problems: string[] = [];
  const { pathMtu } = underlay;
  if (pathMtu !== undefined && pathMtu < context.neededMtu) {
    problems.push(
      `the path to ${name} takes packets of ${pathMtu} bytes, full packets of pods need ${context.neededMtu}: ` +
        `raise the MTU on the way, or start every agent with --mtu ${pathMtu - context.overlayBytes}`,
    );
  }
  if (silent.length > 0) {
    problems.push(
      `${name} answers, but its gateway ${silent.join(' and ')} does not through the overlay: ` +
        `check that weft agent runs there and that UDP port ${context.udpPort} is let through both ways`,
    );
  }
  return problems;
}
