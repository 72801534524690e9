/** The cluster that the DNS tests ask about, and readers of answers: dns-packet decodes what our encoder wrote. */
import { type DecodedPacket, decode } from 'dns-packet';
import { answerQuestion, type ZoneAnswer } from '../../src/dns/answer.ts';
import type { ClusterRecords, EndpointEntry, PortEntry, ServiceEntry } from '../../src/dns/cluster-records.ts';
import type { DnsRecord } from '../../src/dns/record.ts';
import { buildZone, type Zone } from '../../src/dns/zone.ts';
import { formatAddress, parseAddress, type Words } from '../../src/wire/address.ts';
import { type Prefix, parsePrefix } from '../../src/wire/prefix.ts';

export function ip(text: string): Words {
  const words = parseAddress(text);
  if (!words) throw new Error(`not an address: ${text}`);
  return words;
}

export function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (!parsed) throw new Error(`not a prefix: ${text}`);
  return parsed;
}

const http: PortEntry = { name: 'http', protocol: 'TCP', port: 80 };
const dns: PortEntry = { name: 'dns', protocol: 'UDP', port: 53 };

function service(namespace: string, name: string, rest: Partial<ServiceEntry>): ServiceEntry {
  return { namespace, name, clusterIps: [], headless: false, ports: [], endpoints: [], ...rest };
}

function endpoint(address: string, port: number, hostname?: string): EndpointEntry {
  const ports = [{ ...http, port }];
  return hostname ? { address: ip(address), hostname, ports } : { address: ip(address), ports };
}

export const sampleRecords: ClusterRecords = {
  namespaces: ['default', 'kube-system', 'quiet'],
  services: [
    service('default', 'web', {
      clusterIps: [ip('10.96.0.20')],
      ports: [http, { name: '', protocol: 'TCP', port: 443 }],
      endpoints: [endpoint('10.244.1.5', 8080), endpoint('10.244.2.6', 8080)],
    }),
    service('default', 'dual', { clusterIps: [ip('10.96.0.21'), ip('fd00:10::21')], ports: [dns] }),
    service('default', 'db', {
      headless: true,
      ports: [http],
      endpoints: [endpoint('10.244.1.7', 5432, 'db-0'), endpoint('10.244.2.8', 5433)],
    }),
    service('default', 'idle', { headless: true, ports: [http] }),
    service('default', 'outside', { externalName: 'www.Example.com.' }),
    service('default', 'alias', { externalName: 'web.default.svc.cluster.local' }),
    service('default', 'broken-alias', { externalName: 'nobody.default.svc.cluster.local' }),
    service('default', 'ring-a', { externalName: 'ring-b.default.svc.cluster.local' }),
    service('default', 'ring-b', { externalName: 'ring-a.default.svc.cluster.local' }),
    service('default', 'legacy', { clusterIps: [ip('10.96.0.22')], endpoints: [endpoint('192.168.7.9', 3306)] }),
    service('default', 'unsayable', { externalName: `${'x'.repeat(64)}.example.com` }),
    service('default', 'crowd', {
      headless: true,
      ports: [http],
      endpoints: Array.from({ length: 200 }, (_, i) => endpoint(`10.244.3.${i + 1}`, 8080)),
    }),
  ],
  pods: [
    { namespace: 'default', name: 'web-0', address: ip('10.244.1.5') },
    { namespace: 'kube-system', name: 'six', address: ip('fd00:244::5') },
    { namespace: 'default', name: 'lonely', address: ip('10.244.9.1') },
    { namespace: 'kube-system', name: 'proxy', address: ip('10.244.9.2'), hostNetwork: true },
  ],
  reverse: [prefix('10.244.0.0/16'), prefix('10.96.0.0/12'), prefix('fd00:10::/32')],
};

export const sampleZone: Zone = buildZone(sampleRecords, {
  domain: 'cluster.local',
  address: ip('10.96.0.10'),
  serial: 7,
});

/** The zone's answer to a name under cluster.local (or a full one that ends with a dot). */
export function ask(name: string, type: number, zone = sampleZone): ZoneAnswer {
  const full = name.endsWith('.') ? name.slice(0, -1) : name === '' ? zone.domain : `${name}.${zone.domain}`;
  const answer = answerQuestion(zone, full, type);
  if (!answer) throw new Error(`${full} is not ours`);
  return answer;
}

/** Data alone, one string a record, in order. */
export function data(records: readonly DnsRecord[]): string[] {
  return records.map((record) => {
    if ('address' in record) return formatAddress(record.address);
    if ('port' in record) return `${record.weight} ${record.port} ${record.target}`;
    if ('target' in record) return record.target;
    return 'text' in record ? record.text : `SOA ${record.owner}`;
  });
}

/** A query's bytes by hand, so that no encoder of ours is trusted twice. */
export function queryBytes(name: string, type: number, more: { id?: number; flags?: number; udpBytes?: number } = {}) {
  const labels = name.split('.').filter((label) => label !== '');
  const header = Buffer.alloc(12);
  header.writeUInt16BE(more.id ?? 0x1234, 0);
  header.writeUInt16BE(more.flags ?? 0x0100, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(more.udpBytes === undefined ? 0 : 1, 10);
  const question = labels.map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  const parts = [header, ...question, Buffer.from([0, type >> 8, type & 255, 0, 1])];
  if (more.udpBytes !== undefined) {
    parts.push(Buffer.from([0, 0, 41, more.udpBytes >> 8, more.udpBytes & 255, 0, 0, 0, 0, 0, 0]));
  }
  return Buffer.concat(parts);
}

export interface Decoded extends DecodedPacket {
  rcode: number;
  bytes: number;
}

/** Throws when a stranger's decoder does not read all of it. */
export function read(message: Buffer | undefined): Decoded {
  if (!message) throw new Error('no answer');
  const packet = decode(message);
  if (decode.bytes !== message.length) throw new Error(`read ${decode.bytes} of ${message.length} bytes`);
  return { ...packet, rcode: message.readUInt16BE(2) & 15, bytes: message.length };
}
