/** tinc in router mode, cipher and digest off. Its keys are needed all the same: daemons know each other by them. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { sleep } from '../command.ts';
import type { Side } from './routed-network.ts';
import { TUNNEL_DEVICE, TunnelProgram, tunnelAddress } from './tunnel-program.ts';

/** Until path MTU discovery has moved packets from TCP to UDP. */
const UDP_MS = 4000;

export class Tinc extends TunnelProgram {
  readonly name = 'tinc';
  readonly title = 'tinc';
  protected readonly program = 'tincd';
  protected readonly versionFlag = ['--version'];

  protected configure(sides: readonly [Side, Side], folder: string): string {
    const keys = sides.map(() =>
      generateKeyPairSync('rsa', {
        modulusLength: 2048,
        publicKeyEncoding: { type: 'pkcs1', format: 'pem' },
        privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
      }),
    );
    for (const side of sides) {
      const home = `${folder}/${side.index}`;
      mkdirSync(`${home}/hosts`, { recursive: true });
      const connect = side.index === 1 ? 'ConnectTo = host2\n' : '';
      writeFileSync(
        `${home}/tinc.conf`,
        `Name = host${side.index}\nDeviceType = tun\nInterface = ${TUNNEL_DEVICE}\nMode = router\nPMTUDiscovery = yes\n${connect}`,
      );
      writeFileSync(`${home}/rsa_key.priv`, keys[side.index - 1]?.privateKey ?? '', { mode: 0o600 });
      for (const { own, index } of sides) {
        const subnets = `Subnet = ${tunnelAddress(index)}/32\nSubnet = 10.244.${index}.0/24\n`;
        const plain = 'Cipher = none\nDigest = none\nMACLength = 0\nCompression = 0\n';
        const about = `Address = ${own.address}\n${subnets}${plain}${keys[index - 1]?.publicKey ?? ''}`;
        writeFileSync(`${home}/hosts/host${index}`, about);
      }
    }
    return 'router mode over UDP, no cipher, no digest';
  }

  protected command(side: Side, folder: string): readonly string[] {
    const home = `${folder}/${side.index}`;
    return ['tincd', '--config', home, `--pidfile=${home}/pid`, '--no-detach', '--debug=1'];
  }

  protected override after(): Promise<void> {
    return sleep(UDP_MS);
  }
}
