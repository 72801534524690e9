/** socat: a TUN device and a UDP socket, one packet after the other. Nothing is simpler. */
import type { Side } from './routed-network.ts';
import { TUNNEL_DEVICE, TunnelProgram, tunnelAddress } from './tunnel-program.ts';

const PORT = 5555;

export class Socat extends TunnelProgram {
  readonly name = 'socat';
  readonly title = 'socat';
  protected readonly program = 'socat';
  protected readonly versionFlag = ['-V'];
  protected override readonly versionLine = /^socat version/;

  protected configure(): string {
    return 'TUN to UDP, no encryption';
  }

  protected command({ own, other, index }: Side): readonly string[] {
    const device = `TUN:${tunnelAddress(index)}/24,tun-name=${TUNNEL_DEVICE},iff-no-pi,iff-up`;
    // Unconnected: a connected socket would end by the first refusal, before the other host listens.
    return ['socat', '-b65536', device, `UDP-DATAGRAM:${other.address}:${PORT},bind=${own.address}:${PORT}`];
  }
}
