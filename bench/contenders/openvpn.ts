/**
 * OpenVPN point to point over UDP: without any key and cipher, and with TLS and AES-GCM. Kernel offload (DCO) is off:
 * the contender is the program.
 */
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { run } from '../command.ts';
import type { Side } from './routed-network.ts';
import { TUNNEL_DEVICE, TunnelProgram, tunnelAddress } from './tunnel-program.ts';

export type OpenVpnCipher = 'none' | 'AES-128-GCM' | 'AES-256-GCM';

export class OpenVpn extends TunnelProgram {
  readonly name: string;
  readonly title: string;
  override readonly encrypted: boolean;
  protected readonly program = 'openvpn';
  protected readonly versionFlag = ['--version'];
  protected override readonly versionLine = /^OpenVPN/;
  /** GCM adds operation code 4, packet number 4 and tag 16 to the outer IP and UDP. */
  protected override readonly podMtu: number;
  protected override readonly alsoNeeds: readonly string[];
  readonly #cipher: OpenVpnCipher;

  constructor(cipher: OpenVpnCipher) {
    super();
    this.#cipher = cipher;
    this.encrypted = cipher !== 'none';
    this.name = this.encrypted ? `openvpn-${cipher.split('-')[1]}` : 'openvpn';
    this.title = this.encrypted ? `OpenVPN, ${cipher}` : 'OpenVPN, no cipher';
    this.alsoNeeds = this.encrypted ? ['openssl'] : [];
    this.podMtu = this.encrypted ? 1440 : 1450;
  }

  protected async configure(sides: readonly [Side, Side], folder: string): Promise<string> {
    if (!this.encrypted) return 'point to point over UDP, no cipher, no authentication';
    for (const { index } of sides) {
      const files = ['-keyout', `${folder}/${index}.key`, '-out', `${folder}/${index}.crt`];
      const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'];
      await run(['openssl', 'req', '-x509', ...kind, '-subj', `/CN=host${index}`, ...files]);
    }
    return `point to point over UDP, TLS, ${this.#cipher}, without kernel offload`;
  }

  protected command({ own, other, index, peer }: Side, folder: string): readonly string[] {
    const link = ['--remote', other.address, '--local', own.address, '--proto', 'udp', '--port', '1194'];
    const device = ['--dev', TUNNEL_DEVICE, '--dev-type', 'tun', '--tun-mtu', `${this.podMtu}`, '--mssfix', '0'];
    const addresses = ['--ifconfig', tunnelAddress(index), tunnelAddress(peer)];
    const speed = ['--fast-io', '--sndbuf', '1048576', '--rcvbuf', '1048576', '--txqueuelen', '1000'];
    return [
      'openvpn',
      ...link,
      ...device,
      ...addresses,
      ...speed,
      '--disable-dco',
      ...this.#security(index, peer, folder),
    ];
  }

  protected override address(): readonly string[] {
    // It does that itself.
    return [];
  }

  #security(index: 1 | 2, peer: 1 | 2, folder: string): readonly string[] {
    if (!this.encrypted) return ['--cipher', 'none', '--data-ciphers', 'none', '--auth', 'none'];
    const identity = ['--cert', `${folder}/${index}.crt`, '--key', `${folder}/${index}.key`];
    const trusted = ['--peer-fingerprint', fingerprint(`${folder}/${peer}.crt`)];
    const role = index === 1 ? ['--tls-client'] : ['--tls-server', '--dh', 'none'];
    return [...role, ...identity, ...trusted, '--data-ciphers', this.#cipher, '--cipher', this.#cipher];
  }
}

function fingerprint(path: string): string {
  const { raw } = new X509Certificate(readFileSync(path));
  return (createHash('sha256').update(raw).digest('hex').match(/../g) ?? []).join(':');
}
