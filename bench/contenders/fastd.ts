/** fastd with its null method: peers are authenticated by their keys, packets are neither encrypted nor checked. */
import { writeFileSync } from 'node:fs';
import { run } from '../command.ts';
import type { Side } from './routed-network.ts';
import { TUNNEL_DEVICE, TunnelProgram } from './tunnel-program.ts';

export class Fastd extends TunnelProgram {
  readonly name = 'fastd';
  readonly title = 'fastd, null';
  protected readonly program = 'fastd';
  protected readonly versionFlag = ['--version'];
  protected override readonly versionLine = /^fastd/;

  protected async configure(sides: readonly [Side, Side], folder: string): Promise<string> {
    const keys = await Promise.all(sides.map(keyPair));
    for (const { index, own, other, peer } of sides) {
      writeFileSync(
        `${folder}/${index}.conf`,
        `log level warn;
interface "${TUNNEL_DEVICE}";
mode tun;
method "null";
bind ${own.address}:10000;
mtu ${this.podMtu};
secret "${keys[index - 1]?.secret}";
peer "host${peer}" {
  remote ${other.address}:10000;
  key "${keys[peer - 1]?.open}";
}
`,
        { mode: 0o600 },
      );
    }
    return 'TUN over UDP, method null';
  }

  protected command({ index }: Side, folder: string): readonly string[] {
    return ['fastd', '--config', `${folder}/${index}.conf`];
  }
}

async function keyPair(): Promise<{ secret: string; open: string }> {
  const said = await run(['fastd', '--machine-readable', '--generate-key']);
  const secret = said.trim();
  const open = await run([
    'sh',
    '-c',
    'printf "secret \\"%s\\";\\n" "$1" | fastd --machine-readable --config - --show-key',
    'sh',
    secret,
  ]);
  return { secret, open: open.trim() };
}
