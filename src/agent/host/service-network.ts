/**
 * Services that are reached from outside the cluster, in this host's kernel: nftables for node ports and externalIPs
 * that are its own, routes of all other addresses to weft0, and answers to ARP and neighbour solicitations on the
 * underlay for the LoadBalancer addresses that are this host's to announce. Changes by the difference.
 */
import { existsSync, readFileSync } from 'node:fs';
import { type AddressFamily, familyOf } from '../../control/address-family.ts';
import { INNER_PREFIXES } from '../../control/frontends.ts';
import type { HostServices } from '../../control/host-services.ts';
import { formatAddress, type Words } from '../../wire/address.ts';
import { describeError } from '../agent-error.ts';
import { findTool, ipBatch, runTool } from '../command.ts';
import { HOST_DEVICE, writeSysctls } from './host-network.ts';
import { takenPorts } from './listening-ports.ts';
import { serviceRules, withoutServiceRules } from './service-rules.ts';

/** Marks our routes and neighbour entries (rtnetlink(7) rtm_protocol: 4 to 255 are anybody's). */
const PROTOCOL = 119;
const FAMILIES = ['IPv4', 'IPv6'] as const;
const HOST_BITS = { IPv4: 32, IPv6: 128 } as const;

export interface ServicePlace {
  /** This host's gateway address of each family that it has. */
  gateways: Readonly<Partial<Record<AddressFamily, string>>>;
  /** The device on which LoadBalancer addresses are announced. */
  underlayDevice: string;
  /** Changes when the host's network was made anew, and our routes went with the old one. */
  network: string;
}

/** Lines for `ip -batch`, in order. */
export interface ServiceRoutes {
  remove: readonly string[];
  add: readonly string[];
}

/** What of the kernel's routes and neighbour entries belongs to services. */
export function routeLines(services: HostServices, place: ServicePlace): string[] {
  const lines: string[] = [];
  for (const family of FAMILIES) {
    const gateway = place.gateways[family];
    if (gateway === undefined) continue;
    const leads = [
      ...services.nodePorts.map((each) => each.family),
      ...services.ownPorts.map((each) => familyOf(each.address)),
    ];
    if (leads.includes(family)) {
      lines.push(`route replace ${INNER_PREFIXES[family]} dev ${HOST_DEVICE} src ${gateway} proto ${PROTOCOL}`);
    }
    for (const address of services.routes.filter((each) => familyOf(each) === family)) {
      const host = `${formatAddress(address)}/${HOST_BITS[family]}`;
      lines.push(`route replace ${host} dev ${HOST_DEVICE} src ${gateway} proto ${PROTOCOL}`);
    }
    for (const address of services.announced.filter((each) => familyOf(each) === family)) {
      const text = formatAddress(address);
      lines.push(`neighbour replace proxy ${text} dev ${place.underlayDevice} protocol ${PROTOCOL}`);
    }
  }
  return lines;
}

/** From one set of lines to another. */
export function routeChanges(from: readonly string[], to: readonly string[]): ServiceRoutes {
  const wanted = new Set(to);
  const had = new Set(from);
  return {
    remove: from.filter((line) => !wanted.has(line)).map((line) => line.replace(' replace ', ' del ')),
    add: to.filter((line) => !had.has(line)),
  };
}

/** Sysctls without which the kernel answers for nobody else, or only after a while. */
export function announceSysctls(device: string, family: AddressFamily): Record<string, string> {
  return family === 'IPv4'
    ? { [`net/ipv4/neigh/${device}/proxy_delay`]: '0' }
    : { [`net/ipv6/neigh/${device}/proxy_delay`]: '0', [`net/ipv6/conf/${device}/proxy_ndp`]: '1' };
}

/** Tells the neighbours of a device that these addresses are here, again later where they still are. */
export type Announce = (device: string, addresses: readonly Words[], isOurs: (address: Words) => boolean) => void;

export class ServiceNetwork {
  readonly #announce: Announce;
  #key = '';
  #network = '';
  #device = '';
  #lines: readonly string[] = [];
  #announced: ReadonlySet<string> = new Set();
  #rules: Partial<Record<AddressFamily, string>> = {};
  /** What the sysctls were before us. */
  readonly #sysctls = new Map<string, string>();
  #faults: readonly string[] = [];
  #services: HostServices | undefined;

  constructor(announce: Announce) {
    this.#announce = announce;
  }

  /** Whether the kernel does all that was asked for last. */
  get isDone(): boolean {
    return this.#faults.length === 0;
  }

  /** What could not be had, and what stands in the way, as sentences. */
  problems(): readonly string[] {
    return [...this.#faults, ...(this.#services ? takenPorts(this.#services.nodePorts) : [])];
  }

  /** Brings the kernel to this; does nothing where it is there already. */
  async apply(services: HostServices, place: ServicePlace): Promise<void> {
    this.#services = services;
    const key = JSON.stringify([services, place]);
    if (key === this.#key) return;
    const faults: string[] = [];
    if (this.#network === '') await removeStale(services, place);
    // Where the host's network was made anew, our routes went with the old one; where something failed, who knows.
    const isAnew = this.#key === '' || place.network !== this.#network;
    this.#network = place.network;
    await this.#applyRules(services, place, faults);
    await this.#applyRoutes(services, place, isAnew, faults);
    this.#device = place.underlayDevice;
    this.#faults = faults;
    // Where something failed, the next round tries again.
    this.#key = faults.length === 0 ? key : '';
  }

  async #applyRules(services: HostServices, place: ServicePlace, faults: string[]): Promise<void> {
    for (const family of FAMILIES) {
      const gateway = place.gateways[family];
      const isNeeded = gateway !== undefined && needsRules(services, family);
      const rules = isNeeded ? serviceRules(family, services, gateway, HOST_DEVICE) : '';
      if (rules === (this.#rules[family] ?? '')) continue;
      try {
        if (isNeeded && family === 'IPv4') writeSysctls({ [`net/ipv4/conf/${HOST_DEVICE}/route_localnet`]: '1' });
        await runTool('nft', ['-f', '-'], rules || withoutServiceRules(family));
        this.#rules[family] = rules;
      } catch (error) {
        faults.push(`node ports and source ranges of ${family} are not served: ${describeError(error)}`);
      }
    }
  }

  /** A device that goes down forgets for whom it answers, and nobody is told: looks whether ours still does. */
  async look(): Promise<boolean> {
    if (this.#announced.size === 0 || this.#key === '') return true;
    const there = new Set((await listProxies(this.#device)).map(({ address }) => address));
    const isThere = this.#lines.every((line) => {
      const [, address] = /^neighbour replace proxy (\S+) /.exec(line) ?? [];
      return address === undefined || there.has(address);
    });
    if (isThere) return true;
    this.#key = '';
    this.#announced = new Set();
    return false;
  }

  async #applyRoutes(services: HostServices, place: ServicePlace, isAnew: boolean, faults: string[]): Promise<void> {
    const lines = routeLines(services, place);
    const { remove, add } = routeChanges(this.#lines, lines);
    try {
      for (const family of new Set(services.announced.map(familyOf))) this.#keepSysctls(place.underlayDevice, family);
      // Should something fail, any of them may be there.
      this.#lines = [...new Set([...this.#lines, ...lines])];
      await ipBatch(remove, { force: true });
      await ipBatch(isAnew ? lines : add);
      this.#lines = lines;
    } catch (error) {
      faults.push(`addresses of services are not reached from outside: ${describeError(error)}`);
      return;
    }
    const fresh = services.announced.filter((address) => !this.#announced.has(String(address)));
    this.#announced = new Set(services.announced.map(String));
    if (fresh.length > 0) this.#announce(place.underlayDevice, fresh, (each) => this.#announced.has(String(each)));
  }

  #keepSysctls(device: string, family: AddressFamily): void {
    const wanted = announceSysctls(device, family);
    for (const name of Object.keys(wanted)) {
      if (!this.#sysctls.has(name)) this.#sysctls.set(name, readFileSync(`/proc/sys/${name}`, 'latin1').trim());
    }
    writeSysctls(wanted);
  }

  /** Takes away everything that apply made. */
  async close(): Promise<void> {
    this.#announced = new Set();
    await ipBatch(routeChanges(this.#lines, []).remove, { force: true });
    for (const [name, value] of this.#sysctls) {
      if (existsSync(`/proc/sys/${name}`)) writeSysctls({ [name]: value });
    }
    if (!findTool('nft')) return;
    for (const family of FAMILIES) {
      if (this.#rules[family]) await runTool('nft', ['-f', '-'], withoutServiceRules(family)).catch(() => {});
    }
  }
}

function needsRules(services: HostServices, family: AddressFamily): boolean {
  return (
    services.nodePorts.some((each) => each.family === family) ||
    services.ownPorts.some((each) => familyOf(each.address) === family) ||
    services.sources.some((each) => familyOf(each.address) === family)
  );
}

/**
 * What an agent left that was killed: its IPv4 routes went with its addresses, all else did not. What is still wanted
 * stays: nobody is to find it gone for a moment.
 */
async function removeStale(services: HostServices, place: ServicePlace): Promise<void> {
  const wanted = new Set(services.announced.map(formatAddress));
  for (const family of FAMILIES) {
    const isNeeded = place.gateways[family] !== undefined && needsRules(services, family);
    if (!isNeeded && findTool('nft')) await runTool('nft', ['-f', '-'], withoutServiceRules(family)).catch(() => {});
  }
  const stale = (await listProxies(undefined)).filter(
    ({ address, device }) => !wanted.has(address) || device !== place.underlayDevice,
  );
  const routed = new Set(services.routes.map(formatAddress));
  const oldRoutes = (await listRoutes()).filter((destination) => !routed.has(destination));
  await ipBatch(
    [
      ...stale.map(({ address, device }) => `neighbour del proxy ${address} dev ${device}`),
      ...oldRoutes.map((destination) => `route del ${destination} dev ${HOST_DEVICE} proto ${PROTOCOL}`),
    ],
    { force: true },
  );
}

/** Destinations of our routes. */
async function listRoutes(): Promise<string[]> {
  const show = (version: string) => ['-json', version, 'route', 'show', 'dev', HOST_DEVICE, 'proto', `${PROTOCOL}`];
  const listed = await Promise.all(['-4', '-6'].map((version) => runTool('ip', show(version)).catch(() => '[]')));
  return listed.flatMap((text) => (JSON.parse(text || '[]') as { dst: string }[]).map(({ dst }) => dst));
}

/** Our entries on a device, or on all. */
async function listProxies(device: string | undefined): Promise<{ address: string; device: string }[]> {
  const where = device === undefined ? [] : ['dev', device];
  const found = new Map<string, { address: string; device: string }>();
  for (const version of ['-4', '-6']) {
    const listed = await runTool('ip', ['-json', version, 'neighbour', 'show', 'proxy', ...where]).catch(() => '[]');
    for (const entry of JSON.parse(listed || '[]') as { dst?: string; dev?: string; protocol?: string }[]) {
      const on = entry.dev ?? device;
      if (!entry.dst || on === undefined || entry.protocol !== `${PROTOCOL}`) continue;
      found.set(`${entry.dst} ${on}`, { address: entry.dst, device: on });
    }
  }
  return [...found.values()];
}
