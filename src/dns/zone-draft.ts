/** Names with their records in the making, under one apex: what the zone and each service's part of it are written in. */
import { isV4, type Words } from '../wire/address.ts';
import { TYPE } from './codes.ts';
import { isWritableName } from './name.ts';
import type { DnsRecord } from './record.ts';

export class ZoneDraft {
  /** Present with no record: an empty non-terminal. */
  readonly names = new Map<string, DnsRecord[]>();
  readonly #apex: string;
  readonly #ttlSeconds: number;
  readonly #seen = new Set<string>();

  constructor(apex: string, ttlSeconds: number) {
    this.#apex = apex;
    this.#ttlSeconds = ttlSeconds;
  }

  address(owner: string, address: Words): void {
    this.add({ type: isV4(address) ? TYPE.a : TYPE.aaaa, owner, ttlSeconds: this.#ttlSeconds, address });
  }

  alias(owner: string, target: string): void {
    this.add({ type: TYPE.cname, owner, ttlSeconds: this.#ttlSeconds, target });
  }

  server(owner: string, target: string): void {
    this.add({ type: TYPE.ns, owner, ttlSeconds: this.#ttlSeconds, target });
  }

  text(owner: string, text: string): void {
    this.add({ type: TYPE.txt, owner, ttlSeconds: this.#ttlSeconds, text });
  }

  service(owner: string, port: number, target: string, weight: number): void {
    this.add({ type: TYPE.srv, owner, ttlSeconds: this.#ttlSeconds, weight, port, target });
  }

  /** What cannot be written as a domain name is left out; a record that is there already is not added again. */
  add(record: DnsRecord): void {
    const target = 'target' in record ? record.target : '';
    if (!isWritableName(record.owner) || !isWritableName(target)) return;
    const data = 'address' in record ? record.address.join() : 'port' in record ? `${record.port} ${target}` : target;
    const identity = `${record.owner} ${record.type} ${data}`;
    if (this.#seen.has(identity)) return;
    this.#seen.add(identity);
    this.exists(record.owner);
    this.names.get(record.owner)?.push(record);
  }

  /** The name exists, and with it every name above it (RFC 8020), up to the apex. */
  exists(name: string): void {
    let key = name;
    while (key !== '' && !this.names.has(key) && isWritableName(key)) {
      this.names.set(key, []);
      const dot = key.indexOf('.');
      key = dot < 0 || key === this.#apex ? '' : key.slice(dot + 1);
    }
  }
}
