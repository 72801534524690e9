/** dnsmasq, Unbound and Knot DNS with the cluster's names as static ones: each as its manual has it, on one thread. */
import { writeFileSync } from 'node:fs';
import { DNS_ADDRESS, DnsProgram, DOMAIN, TTL_SECONDS } from './dns-host.ts';

export class Dnsmasq extends DnsProgram {
  override readonly name = 'dnsmasq';
  override readonly title = 'dnsmasq';
  protected readonly program = 'dnsmasq';
  protected readonly versionFlag = '--version';

  protected configure(folder: string): { command: readonly string[]; about: string } {
    const hosts = `${folder}/hosts`;
    writeFileSync(hosts, this.names.map(({ name, address }) => `${address} ${name}\n`).join(''));
    const names = ['--no-hosts', `--addn-hosts=${hosts}`, `--local=/${DOMAIN}/`, `--local-ttl=${TTL_SECONDS}`];
    const place = [`--listen-address=${DNS_ADDRESS}`, '--bind-interfaces', '--conf-file=/dev/null', '--user=root'];
    const command = [
      this.program,
      '--keep-in-foreground',
      '--no-resolv',
      ...place,
      ...names,
      `--pid-file=${folder}/pid`,
    ];
    return { command, about: 'names in an additional hosts file, no upstream' };
  }
}

export class Unbound extends DnsProgram {
  override readonly name = 'unbound';
  override readonly title = 'Unbound';
  protected readonly program = 'unbound';
  protected readonly versionFlag = '-V';

  protected configure(folder: string): { command: readonly string[]; about: string } {
    const data = this.names.map(({ name, address }) => `  local-data: "${name}. ${TTL_SECONDS} IN A ${address}"`);
    writeFileSync(
      `${folder}/unbound.conf`,
      `server:
  interface: ${DNS_ADDRESS}
  access-control: 10.0.0.0/8 allow
  num-threads: 1
  username: ""
  chroot: ""
  directory: "${folder}"
  pidfile: "${folder}/pid"
  use-syslog: no
  logfile: ""
  module-config: "iterator"
  minimal-responses: yes
  local-zone: "${DOMAIN}." static
${data.join('\n')}
`,
    );
    return {
      command: [this.program, '-d', '-c', `${folder}/unbound.conf`],
      about: 'names as local-data of a static local-zone, one thread, iterator alone, minimal responses',
    };
  }
}

export class Knot extends DnsProgram {
  override readonly name = 'knot';
  override readonly title = 'Knot DNS';
  protected readonly program = 'knotd';
  protected readonly versionFlag = '--version';

  protected configure(folder: string): { command: readonly string[]; about: string } {
    const records = this.names.map(({ name, address }) => `${name}. ${TTL_SECONDS} A ${address}`);
    writeFileSync(
      `${folder}/cluster.zone`,
      `$ORIGIN ${DOMAIN}.
@ ${TTL_SECONDS} SOA ns.dns hostmaster 1 7200 1800 86400 ${TTL_SECONDS}
@ ${TTL_SECONDS} NS ns.dns
ns.dns ${TTL_SECONDS} A ${DNS_ADDRESS}
${records.join('\n')}
`,
    );
    writeFileSync(
      `${folder}/knot.conf`,
      `server:
    rundir: "${folder}"
    user: root:root
    listen: ${DNS_ADDRESS}@53
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: warning
database:
    storage: "${folder}"
template:
  - id: default
    storage: "${folder}"
    zonefile-sync: -1
    journal-content: none
zone:
  - domain: ${DOMAIN}
    file: "cluster.zone"
`,
    );
    return {
      command: [this.program, '-c', `${folder}/knot.conf`],
      about: 'names in a zone file, one UDP worker, no journal',
    };
  }
}
