/** n2n: an edge on each host, which find each other through a supernode on the first and then send to each other. */
import { sleep } from '../command.ts';
import type { Side } from './routed-network.ts';
import { TUNNEL_DEVICE, TunnelProgram, tunnelAddress } from './tunnel-program.ts';

const PORT = 7654;
const SUPERNODE_MS = 3000;

export class N2n extends TunnelProgram {
  readonly name = 'n2n';
  readonly title = 'n2n';
  override readonly encrypted = true;
  protected readonly program = 'edge';
  protected readonly versionFlag = ['-h'];
  protected override readonly versionLine = /^Welcome to n2n/;
  protected override readonly alsoNeeds = ['supernode'];
  protected override readonly podMtu = 1400;

  protected configure(): string {
    return 'TAP over UDP, Twofish';
  }

  /** An edge that finds no supernode does not ask again soon. */
  protected override async before([side]: readonly [Side, Side]): Promise<void> {
    const supernode = this.start(side, ['supernode', '-l', `${PORT}`]);
    const end = Date.now() + SUPERNODE_MS;
    while (!/ready/i.test(supernode.said()) && Date.now() < end) await sleep(50);
  }

  protected command({ index }: Side): readonly string[] {
    const network = ['-a', tunnelAddress(index), '-s', '255.255.255.0', '-c', 'bench', '-k', 'bench'];
    const supernode = ['-l', `${this.hosts[0].address}:${PORT}`];
    return ['edge', '-d', TUNNEL_DEVICE, ...network, ...supernode, '-M', `${this.podMtu}`, '-r'];
  }
}
