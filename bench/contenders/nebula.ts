/** nebula: certificates of an authority made for the run, AES, the other host's pods as an unsafe route. */
import { writeFileSync } from 'node:fs';
import { run } from '../command.ts';
import type { Side } from './routed-network.ts';
import { TUNNEL_DEVICE, TunnelProgram, tunnelAddress } from './tunnel-program.ts';

export class Nebula extends TunnelProgram {
  readonly name = 'nebula';
  readonly title = 'nebula';
  override readonly encrypted = true;
  protected readonly program = 'nebula';
  protected readonly versionFlag = ['-version'];
  protected override readonly alsoNeeds = ['nebula-cert'];
  /** Outer IP 20, UDP 8, header 16, tag 16. */
  protected override readonly podMtu = 1440;

  protected async configure(sides: readonly [Side, Side], folder: string): Promise<string> {
    const authority = ['-out-crt', `${folder}/ca.crt`, '-out-key', `${folder}/ca.key`];
    await run(['nebula-cert', 'ca', '-name', 'bench', ...authority]);
    for (const { index, peer, other } of sides) {
      const signer = ['-ca-crt', `${folder}/ca.crt`, '-ca-key', `${folder}/ca.key`];
      const about = ['-name', `host${index}`, '-ip', `${tunnelAddress(index)}/24`, '-subnets', `10.244.${index}.0/24`];
      const files = ['-out-crt', `${folder}/${index}.crt`, '-out-key', `${folder}/${index}.key`];
      await run(['nebula-cert', 'sign', ...signer, ...about, ...files]);
      const anything = [{ port: 'any', proto: 'any', host: 'any' }];
      const settings = {
        pki: { ca: `${folder}/ca.crt`, cert: `${folder}/${index}.crt`, key: `${folder}/${index}.key` },
        static_host_map: { [tunnelAddress(peer)]: [`${other.address}:4242`] },
        lighthouse: { am_lighthouse: false, hosts: [] },
        listen: { host: '0.0.0.0', port: 4242, batch: 64, read_buffer: 10_485_760, write_buffer: 10_485_760 },
        cipher: 'aes',
        punchy: { punch: false },
        tun: {
          dev: TUNNEL_DEVICE,
          mtu: this.podMtu,
          tx_queue: 1000,
          unsafe_routes: [{ route: `10.244.${peer}.0/24`, via: tunnelAddress(peer), mtu: this.podMtu }],
        },
        firewall: { outbound: anything, inbound: anything },
        logging: { level: 'warning' },
      };
      // JSON is YAML.
      writeFileSync(`${folder}/${index}.yml`, JSON.stringify(settings, null, 2));
    }
    return 'AES-256-GCM over UDP, certificates';
  }

  protected command({ index }: Side, folder: string): readonly string[] {
    return ['nebula', '-config', `${folder}/${index}.yml`];
  }

  protected override address(): readonly string[] {
    return [];
  }
}
