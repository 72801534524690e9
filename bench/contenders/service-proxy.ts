/**
 * Programs that balance TCP connections by ending each and beginning another, as people put them on a host: one
 * process on the client's host that listens on the service's address, before pods that the kernel's VXLAN reaches. So
 * the way without the service is the kernel's, and the client's address is not kept.
 */
import { type Daemon, daemon, firstLineOf, inNamespace, ipBatch, isInstalled, run, sleep } from '../command.ts';
import { TCP_PORTS } from '../contest.ts';
import { privateFolder } from '../isolation.ts';
import { KernelVxlan } from './kernel-vxlan.ts';
import { SERVICE, type Side } from './routed-network.ts';
import { childrenOf } from './tunnel-program.ts';

const LISTENING_MS = 5000;

export abstract class ServiceProxy extends KernelVxlan {
  override readonly kind = 'peer';
  protected abstract readonly program: string;
  protected abstract readonly versionFlag: string;
  #daemon?: Daemon;

  override async missing(): Promise<string | undefined> {
    return (await isInstalled(this.program)) ? undefined : `no ${this.program}; make bench-peers installs it`;
  }

  override version(): Promise<string> {
    return firstLineOf([this.program, this.versionFlag], /\d+\.\d+/);
  }

  override processes(): readonly number[] {
    return this.#daemon ? [this.#daemon.pid, ...childrenOf(this.#daemon.pid)] : [];
  }

  override async down(): Promise<void> {
    await this.#daemon?.stop();
    await super.down();
  }

  /** Writes what it reads, in a folder of its own; the command, and a sentence about how it is set up. */
  protected abstract configure(folder: string): { command: readonly string[]; about: string };

  /** The service's endpoints. */
  protected get endpoints(): readonly string[] {
    return [this.pods[1], ...this.otherEndpoints].map((pod) => pod.address);
  }

  protected override async serve({ own }: Side): Promise<string> {
    await ipBatch(own.namespace, [`address add ${SERVICE}/32 dev lo`]);
    const { command, about } = this.configure(privateFolder(this.name));
    const started = daemon(inNamespace(own.namespace, command));
    this.#daemon = started;
    await this.#listens(own.namespace, started);
    this.service = SERVICE;
    return about;
  }

  async #listens(namespace: string, started: Daemon): Promise<void> {
    const end = Date.now() + LISTENING_MS;
    const listening = inNamespace(namespace, ['ss', '-Hltn', 'src', SERVICE]);
    while ((await run(listening)).trim().split('\n').length < TCP_PORTS.length) {
      if (started.ended() !== undefined || Date.now() > end) {
        throw new Error(`${this.program} does not listen: ${started.said()}`);
      }
      await sleep(50);
    }
  }
}
