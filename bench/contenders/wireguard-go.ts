/**
 * wireguard-go, told what to do over its own socket (https://www.wireguard.com/xplatform/), so that no other program
 * is needed. Both hosts' sockets are in one folder and named by their devices, which therefore have two names.
 */
import { generateKeyPairSync } from 'node:crypto';
import { createConnection } from 'node:net';
import type { Side } from './routed-network.ts';
import { TunnelProgram } from './tunnel-program.ts';

const PORT = 51820;
/** An X25519 key in DER: what stands before its 32 bytes is always the same. */
const KEY_BYTES = 32;

interface Keys {
  readonly secret: string;
  readonly open: string;
}

export class WireguardGo extends TunnelProgram {
  readonly name = 'wireguard-go';
  readonly title = 'wireguard-go';
  override readonly encrypted = true;
  protected readonly program = 'wireguard-go';
  protected readonly versionFlag = ['--version'];
  protected override readonly versionLine = /^wireguard-go v/;
  /** Outer IP 20, UDP 8, header 16, tag 16. */
  protected override readonly podMtu = 1440;
  #keys: readonly Keys[] = [];

  protected configure(): string {
    this.#keys = [keyPair(), keyPair()];
    return 'ChaCha20-Poly1305 over UDP';
  }

  protected override device(side: Side): string {
    return `wg${side.index}`;
  }

  protected command(side: Side): readonly string[] {
    return ['wireguard-go', '--foreground', this.device(side)];
  }

  protected override async after(sides: readonly [Side, Side]): Promise<void> {
    for (const side of sides) {
      const [own, other] = [this.#keys[side.index - 1], this.#keys[side.peer - 1]];
      const lines = [
        'set=1',
        `private_key=${own?.secret}`,
        `listen_port=${PORT}`,
        'replace_peers=true',
        `public_key=${other?.open}`,
        `endpoint=${side.other.address}:${PORT}`,
        'replace_allowed_ips=true',
        `allowed_ip=10.99.0.${side.peer}/32`,
        `allowed_ip=10.244.${side.peer}.0/24`,
      ];
      await tell(`/var/run/wireguard/${this.device(side)}.sock`, `${lines.join('\n')}\n\n`);
    }
  }
}

function keyPair(): Keys {
  const { publicKey, privateKey } = generateKeyPairSync('x25519');
  const hex = (der: Buffer) => der.subarray(-KEY_BYTES).toString('hex');
  return {
    secret: hex(privateKey.export({ type: 'pkcs8', format: 'der' })),
    open: hex(publicKey.export({ type: 'spki', format: 'der' })),
  };
}

/** Its answer is errno=0, or what went wrong. */
function tell(path: string, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = '';
    const socket = createConnection(path, () => socket.write(text));
    socket.on('error', reject);
    socket.on('data', (data) => {
      said += String(data);
      if (!said.includes('\n\n')) return;
      socket.end();
      if (/^errno=0$/m.test(said)) resolve();
      else reject(new Error(`wireguard-go: ${said.trim()}`));
    });
  });
}
