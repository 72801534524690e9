/** vtun: a TUN over UDP between a server and a client, encryption and compression off. */
import { writeFileSync } from 'node:fs';
import { ipBatch } from '../command.ts';
import type { Side } from './routed-network.ts';
import { TUNNEL_DEVICE, TunnelProgram } from './tunnel-program.ts';

export class Vtun extends TunnelProgram {
  readonly name = 'vtun';
  readonly title = 'vtun';
  protected readonly program = 'vtund';
  protected readonly versionFlag = ['-h'];
  protected override readonly versionLine = /^VTun ver/;

  protected configure(sides: readonly [Side, Side], folder: string): string {
    for (const { index } of sides) {
      writeFileSync(
        `${folder}/${index}.conf`,
        `options { port 5000; }
bench {
  passwd bench;
  type tun;
  device ${TUNNEL_DEVICE};
  proto udp;
  compress no;
  encrypt no;
  stat no;
  keepalive no;
}
`,
        { mode: 0o600 },
      );
    }
    return 'TUN over UDP, no encryption, no compression';
  }

  /** Devices that are up before packets come: vtund ends by the first that it cannot write. */
  protected override async before(sides: readonly [Side, Side]): Promise<void> {
    for (const side of sides) {
      const { namespace } = side.own;
      await ipBatch(namespace, [`tuntap add dev ${TUNNEL_DEVICE} mode tun`, ...this.address(side)]);
    }
  }

  protected command({ index, other }: Side, folder: string): readonly string[] {
    const configured = ['vtund', '-n', '-f', `${folder}/${index}.conf`];
    return index === 2 ? [...configured, '-s'] : [...configured, '-p', 'bench', other.address];
  }
}
