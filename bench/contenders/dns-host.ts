/**
 * What every DNS server that is measured gets: one host's namespace with the server in it at the cluster's DNS address,
 * one pod with the client, and the same names. The way between both is the contender's own: a veth pair for programs,
 * the pod's TUN device for Weft.
 *
 *   client's pod ----veth or TUN---- host: 10.96.0.10:53
 */
import { writeFileSync } from 'node:fs';
import { type Daemon, daemon, firstLineOf, inNamespace, ipBatch, isInstalled, run, sleep } from '../command.ts';
import type { Contender, Host, Pod } from '../contest.ts';
import { privateFolder } from '../isolation.ts';
import { makeNamespace, removeNamespace } from './host-pair.ts';

export const DNS_ADDRESS = '10.96.0.10';
const POD_ADDRESS = '10.244.1.10';
const GATEWAY = '10.244.1.1';
const POD_MTU = 1450;
const ANSWERING_MS = 20_000;
export const DOMAIN = 'cluster.local';
export const TTL_SECONDS = 5;

export interface NamedService {
  readonly service: string;
  /** `s17.bench.svc.cluster.local`. */
  readonly name: string;
  readonly address: string;
}

export function namedServices(count: number): NamedService[] {
  return Array.from({ length: count }, (_, i) => {
    const service = `s${i}`;
    return { service, name: `${service}.bench.svc.${DOMAIN}`, address: `10.96.${1 + (i >> 8)}.${i & 255}` };
  });
}

export abstract class DnsHost implements Contender {
  abstract readonly name: string;
  abstract readonly title: string;
  abstract readonly kind: Contender['kind'];
  readonly encrypted = false;
  readonly names: readonly NamedService[];

  constructor(names: number) {
    this.names = namedServices(names);
  }

  get host(): Host {
    return { namespace: `${this.name}-host`, address: DNS_ADDRESS };
  }

  get hosts(): readonly [Host, Host] {
    return [this.host, this.host];
  }

  /** Whoever is measured on pods: the client, and the server in the second one's place. */
  get pods(): readonly [Pod, Pod] {
    return [this.client, this.host];
  }

  protected get client(): Pod {
    return { namespace: `${this.name}-client`, address: POD_ADDRESS };
  }

  /** The server's own program; Weft is here always. */
  protected readonly program: string | undefined;

  async missing(): Promise<string | undefined> {
    for (const program of ['dnsperf', ...(this.program === undefined ? [] : [this.program])]) {
      if (!(await isInstalled(program))) return `no ${program}; make bench-peers installs it`;
    }
    return undefined;
  }

  abstract version(): Promise<string>;
  abstract processes(): readonly number[];
  abstract up(): Promise<string>;
  abstract down(): Promise<void>;

  /** The questions in any order, one of each name, as dnsperf reads them; all asked once. */
  protected async askAll(): Promise<void> {
    const lines = this.names.map(({ name }) => `${name} A`);
    for (let i = lines.length - 1; i > 0; i--) {
      const j = Math.floor(Math.random() * (i + 1));
      [lines[i], lines[j]] = [lines[j] ?? '', lines[i] ?? ''];
    }
    writeFileSync(this.questions, `${lines.join('\n')}\n`);
    const end = Date.now() + ANSWERING_MS;
    for (;;) {
      const said = await run(
        inNamespace(this.client.namespace, ['dnsperf', '-s', DNS_ADDRESS, '-d', this.questions, '-n', '1', '-t', '1']),
      ).catch((error: Error) => error.message);
      if (new RegExp(`NOERROR ${lines.length} \\(100`).test(said)) return;
      if (Date.now() > end) throw new Error(`${this.title} does not answer every name: ${said.slice(-400)}`);
      await sleep(100);
    }
  }

  get questions(): string {
    return `${privateFolder(this.name)}/questions`;
  }
}

/** A name server of Debian's. */
export abstract class DnsProgram extends DnsHost {
  readonly kind = 'peer';
  protected abstract override readonly program: string;
  protected abstract readonly versionFlag: string;
  #daemon: Daemon | undefined;

  version(): Promise<string> {
    return firstLineOf([this.program, this.versionFlag], /\d+\.\d+/);
  }

  processes(): readonly number[] {
    return this.#daemon ? [this.#daemon.pid] : [];
  }

  /** Writes what it reads into the folder; its command, and a sentence about how it is set up. */
  protected abstract configure(folder: string): { command: readonly string[]; about: string };

  async up(): Promise<string> {
    const { host, client } = this;
    await makeNamespace(host.namespace);
    await makeNamespace(client.namespace);
    await ipBatch(host.namespace, [
      `link add pod mtu ${POD_MTU} type veth peer name eth0 mtu ${POD_MTU} netns ${client.namespace}`,
      'link set pod up',
      `address add ${GATEWAY}/32 dev pod`,
      `address add ${DNS_ADDRESS}/32 dev lo`,
      `route add ${client.address}/32 dev pod`,
    ]);
    await ipBatch(client.namespace, [
      'link set eth0 up',
      `address add ${client.address}/32 dev eth0`,
      `route add ${GATEWAY} dev eth0`,
      `route add default via ${GATEWAY}`,
    ]);
    const { command, about } = this.configure(privateFolder(this.name));
    this.#daemon = daemon(inNamespace(host.namespace, command));
    await this.askAll().catch((error: Error) => {
      throw new Error(`${error.message}\n${this.#daemon?.said()}`);
    });
    return about;
  }

  async down(): Promise<void> {
    await this.#daemon?.stop();
    for (const { namespace } of [this.client, this.host]) await removeNamespace(namespace);
  }
}
