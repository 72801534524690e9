/**
 * Pods as every contender but Weft has them: a namespace at the end of a veth pair each, joined by the hosts' kernels.
 * What carries packets from one host to the other is the contender's: it adds a route.
 */
import { inNamespace, ipBatch, run } from '../command.ts';
import { type Contender, type Host, type Pod, TCP_PORTS, UDP_PORTS } from '../contest.ts';
import { hostsOf, makeHostPair, makeNamespace, reach, removeNamespace, UNDERLAY_MTU } from './host-pair.ts';

/** One host, as a contender sees it. */
export interface Side {
  readonly own: Host;
  readonly other: Host;
  /** 1 or 2, and the other: 10.244.INDEX.0/24 are its pods. */
  readonly index: 1 | 2;
  readonly peer: 1 | 2;
}

export interface NetworkOptions {
  readonly underlayMtu?: number;
  /** Of the service: the server pod and others beside it on the second host. */
  readonly endpoints?: number;
}

export const SERVICE = '10.96.0.100';

export abstract class RoutedNetwork implements Contender {
  abstract readonly name: string;
  abstract readonly title: string;
  abstract readonly kind: 'kernel' | 'peer';
  readonly encrypted: boolean = false;
  /** What the pods' devices get. */
  protected abstract readonly podMtu: number;
  protected readonly underlayMtu: number;
  readonly #endpoints: number;

  constructor({ underlayMtu = UNDERLAY_MTU, endpoints = 1 }: NetworkOptions = {}) {
    this.underlayMtu = underlayMtu;
    this.#endpoints = endpoints;
  }

  get pods(): readonly [Pod, Pod] {
    return [this.#pod('pa', '10.244.1.10'), this.#pod('pb', '10.244.2.10')];
  }

  get local(): Pod {
    return this.#pod('pl', '10.244.1.11');
  }

  get otherEndpoints(): readonly Pod[] {
    return Array.from({ length: this.#endpoints - 1 }, (_, i) => this.#pod(`pb${i + 2}`, `10.244.2.${11 + i}`));
  }

  get hosts(): readonly [Host, Host] {
    return hostsOf(this.name);
  }

  protected get sides(): readonly [Side, Side] {
    const [a, b] = this.hosts;
    return [
      { own: a, other: b, index: 1, peer: 2 },
      { own: b, other: a, index: 2, peer: 1 },
    ];
  }

  /** Joins the hosts; afterwards their pods reach each other. */
  protected abstract join(sides: readonly [Side, Side]): Promise<string>;

  abstract missing(): Promise<string | undefined>;
  abstract version(): Promise<string>;

  processes(): readonly number[] {
    return [];
  }

  async up(): Promise<string> {
    await makeHostPair(this.hosts, this.underlayMtu);
    const [a, b] = this.sides;
    const [client, server] = this.pods;
    await this.#makePod(a, client, 'pod');
    await this.#makePod(a, this.local, 'local');
    await this.#makePod(b, server, 'pod');
    for (const [i, pod] of this.otherEndpoints.entries()) await this.#makePod(b, pod, `pod${i + 2}`);
    const description = await this.join([a, b]);
    await reach(client.namespace, server.address, { seconds: 20 });
    return description;
  }

  async down(): Promise<void> {
    const namespaces = [...this.pods, this.local, ...this.otherEndpoints, ...this.hosts].map((n) => n.namespace);
    for (const name of namespaces) await removeNamespace(name);
  }

  /** A service as nftables makes one: the first packet's destination is rewritten, in turn, conntrack remembers. */
  protected async addService(host: Host): Promise<string> {
    const endpoints = [this.pods[1], ...this.otherEndpoints].map((pod, i) => `${i} : ${pod.address}`);
    const to = `dnat to numgen inc mod ${endpoints.length} map { ${endpoints.join(', ')} }`;
    const chain = 'chain service { type nat hook prerouting priority dstnat;';
    const rule = (protocol: string, ports: readonly number[]) =>
      `ip daddr ${SERVICE} ${protocol} dport { ${ports.join(', ')} } ${to};`;
    const table = `table ip bench { ${chain} ${rule('tcp', TCP_PORTS)} ${rule('udp', UDP_PORTS)} }; }`;
    await run(inNamespace(host.namespace, ['nft', table]));
    return SERVICE;
  }

  async #makePod({ own, index }: Side, pod: Pod, device: string): Promise<void> {
    const gateway = `10.244.${index}.1`;
    await makeNamespace(pod.namespace);
    await ipBatch(own.namespace, [
      `link add ${device} mtu ${this.podMtu} type veth peer name eth0 mtu ${this.podMtu} netns ${pod.namespace}`,
      `link set ${device} up`,
      `address add ${gateway}/32 dev ${device}`,
      `route add ${pod.address}/32 dev ${device}`,
    ]);
    await ipBatch(pod.namespace, [
      'link set eth0 up',
      `address add ${pod.address}/32 dev eth0`,
      `route add ${gateway} dev eth0`,
      `route add default via ${gateway}`,
    ]);
  }

  #pod(suffix: string, address: string): Pod {
    return { namespace: `${this.name}-${suffix}`, address };
  }
}
