/**
 * Programs that carry packets between hosts through a TUN or TAP device of their own: one process on each host, a
 * device each, and a route to the other host's pods through it. What differs stands in one file per program.
 */
import { readFileSync } from 'node:fs';
import { type Daemon, daemon, firstLineOf, inNamespace, ipBatch, isInstalled, run, sleep } from '../command.ts';
import { privateFolder } from '../isolation.ts';
import { reach } from './host-pair.ts';
import { RoutedNetwork, type Side } from './routed-network.ts';

export const TUNNEL_DEVICE = 'tun0';

/** Inside the tunnel: 10.99.0.1 and 10.99.0.2. */
export function tunnelAddress(index: 1 | 2): string {
  return `10.99.0.${index}`;
}

const DEVICE_MS = 15_000;
const REACHED_SECONDS = 20;

export abstract class TunnelProgram extends RoutedNetwork {
  readonly kind = 'peer';
  /** As the shell finds it, and how it tells its version. */
  protected abstract readonly program: string;
  protected abstract readonly versionFlag: readonly string[];
  /** The line of its answer that holds the version. */
  protected readonly versionLine: RegExp = /\d+\.\d+/;
  /** Whatever a program adds without encryption, as much as VXLAN adds is enough. */
  protected readonly podMtu: number = 1450;
  protected readonly alsoNeeds: readonly string[] = [];
  #daemons: Daemon[] = [];

  async missing(): Promise<string | undefined> {
    for (const program of [this.program, ...this.alsoNeeds]) {
      if (!(await isInstalled(program))) return `no ${program}; make bench-peers installs it`;
    }
    return undefined;
  }

  version(): Promise<string> {
    return firstLineOf([this.program, ...this.versionFlag], this.versionLine);
  }

  override processes(): readonly number[] {
    return this.#daemons.flatMap((d) => [d.pid, ...childrenOf(d.pid)]);
  }

  override async down(): Promise<void> {
    await Promise.all(this.#daemons.splice(0).map((d) => d.stop()));
    await super.down();
  }

  /** Writes what it reads; returns a sentence about how it is set up. */
  protected abstract configure(sides: readonly [Side, Side], folder: string): Promise<string> | string;

  protected device(_side: Side): string {
    return TUNNEL_DEVICE;
  }

  /** The process of one host. It makes the device. */
  protected abstract command(side: Side, folder: string): readonly string[];

  /** After the device is there: gives it its address, where the program does not. */
  protected address(side: Side): readonly string[] {
    const device = this.device(side);
    return [
      `address replace ${tunnelAddress(side.index)}/24 dev ${device}`,
      `link set ${device} mtu ${this.podMtu} up`,
    ];
  }

  /** Before the processes are started. */
  protected before(_sides: readonly [Side, Side], _folder: string): Promise<void> | void {}

  /** When both processes run and have their devices. */
  protected after(_sides: readonly [Side, Side]): Promise<void> | void {}

  protected start(side: Side, argv: readonly string[]): Daemon {
    const started = daemon(inNamespace(side.own.namespace, argv));
    this.#daemons.push(started);
    return started;
  }

  protected async join(sides: readonly [Side, Side]): Promise<string> {
    const folder = privateFolder(this.name);
    const description = await this.configure(sides, folder);
    try {
      await this.before(sides, folder);
      // Servers, where a program has one, are on the second host.
      for (const side of [...sides].reverse()) this.start(side, this.command(side, folder));
      for (const side of sides) await this.#made(side.own.namespace, this.device(side));
      await this.after(sides);
      for (const side of sides) {
        const route = `route replace 10.244.${side.peer}.0/24 via ${tunnelAddress(side.peer)} dev ${this.device(side)}`;
        await ipBatch(side.own.namespace, [...this.address(side), route]);
      }
      await this.#reached();
    } catch (error) {
      const said = this.#daemons.map((d) => d.said()).join('\n');
      throw new Error(`${(error as Error).message}\n${said}`);
    }
    return description;
  }

  async #made(namespace: string, device: string): Promise<void> {
    const end = Date.now() + DEVICE_MS;
    for (;;) {
      const dead = this.#daemons.find((d) => d.ended() !== undefined);
      if (dead) throw new Error(`${this.program} ended: ${dead.ended()}`);
      const there = await run(inNamespace(namespace, ['ip', 'link', 'show', device])).then(
        () => true,
        () => false,
      );
      if (there) return;
      if (Date.now() > end) throw new Error(`${this.program} made no device`);
      await sleep(100);
    }
  }

  /** Handshakes take their time; then packets of full size must pass whole. */
  async #reached(): Promise<void> {
    const [client, server] = this.pods;
    await reach(client.namespace, server.address, { seconds: REACHED_SECONDS });
    await reach(client.namespace, server.address, { seconds: REACHED_SECONDS, bytes: this.podMtu });
  }
}

/** A server may leave each connection to a child. */
export function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
}
