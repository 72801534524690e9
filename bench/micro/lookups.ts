/** What a lookup costs by the size of its table, beside the version that one would write first. */
import { do_not_optimize } from 'mitata';
import { FlowTable } from '../../src/dataplane/flow-table.ts';
import { buildAddressMap, find } from '../../src/tables/address-map.ts';
import { buildRoutes, lookup4 } from '../../src/tables/routes.ts';
import { serviceKey } from '../../src/tables/services.ts';
import { count, figure, table } from './markdown.ts';
import * as naive from './naive.ts';
import { callNanoseconds } from './timing.ts';

const MAPPED = 0xffff;
const SOURCE = 0x0af40100;
const DESTINATION = 0x0af4020a;
const PORTS = 50_000;
const UDP = 17;
const TCP = 6;
/** A prime: keys are looked up in steps of it, an order that no cache can guess. */
const STEP = 611_953;

type Lookup = (n: number) => unknown;

export async function lookups(): Promise<string> {
  const rows: string[][] = [];
  const add = async (
    what: string,
    sizes: readonly number[],
    make: (size: number) => { plain: Lookup; fast: Lookup },
  ) => {
    for (const size of sizes) {
      const { plain, fast } = make(size);
      if (plain(size >> 1) !== fast(size >> 1)) throw new Error(`${what}, ${size}: the two versions disagree`);
      const [slow, quick] = [await each(plain, size), await each(fast, size)];
      rows.push([what, count(size), figure(slow), figure(quick), `${figure(slow / quick)} x`]);
    }
  };
  await add('flow, by addresses, ports and protocol', [1, 1000, 100_000, 1_000_000], flowLookups);
  await add('service, by address, protocol and port', [1, 100, 10_000], serviceLookups);
  await add('route, longest prefix', [1, 100, 10_000], routeLookups);
  return `## Lookups

Nanoseconds, keys in an order that no cache can guess. First: a \`Map\` with strings as keys, or a look at every prefix.

${table(['', 'entries', 'written first', 'Weft', ''], rows)}`;
}

/** Nanoseconds of a lookup of one key after the other. */
function each(lookup: Lookup, size: number): Promise<number> {
  let next = 0;
  return callNanoseconds(() => {
    next = (next + STEP) % size;
    do_not_optimize(lookup(next));
  });
}

function flowLookups(size: number) {
  const flows = new FlowTable(size);
  const plain = new naive.Flows();
  const sourceOf = (n: number) => SOURCE + Math.floor(n / PORTS);
  const portsOf = (n: number) => ((1024 + (n % PORTS)) << 16) | 53;
  const hashOf = (source: number, ports: number) =>
    flows.hash(0, 0, MAPPED, source, 0, 0, MAPPED, DESTINATION, ports, UDP);
  for (let n = 0; n < size; n++) {
    const [source, ports] = [sourceOf(n), portsOf(n)];
    const record = flows.create(hashOf(source, ports), 0, 0, MAPPED, source, 0, 0, MAPPED, DESTINATION, ports, UDP);
    plain.set(source, ports >>> 16, DESTINATION, 53, record);
  }
  return {
    plain: (n: number) => plain.get(sourceOf(n), portsOf(n) >>> 16, DESTINATION, 53),
    fast(n: number) {
      const [source, ports] = [sourceOf(n), portsOf(n)];
      return flows.find(hashOf(source, ports), 0, 0, MAPPED, source, 0, 0, MAPPED, DESTINATION, ports, UDP);
    },
  };
}

function serviceLookups(size: number) {
  const numbers = Array.from({ length: size }, (_, n) => n);
  const key = serviceKey(TCP, 80);
  const map = buildAddressMap(numbers.map((n) => ({ address: [0, 0, MAPPED, SOURCE + n], extra: key, value: n })));
  const plain = new Map(numbers.map((n) => [`${SOURCE + n}:80/tcp`, n]));
  return {
    plain: (n: number) => plain.get(`${SOURCE + n}:80/tcp`),
    fast: (n: number) => find(map, 0, 0, MAPPED, SOURCE + n, key),
  };
}

function routeLookups(size: number) {
  const first = 0x0a000000;
  const prefixes = Array.from({ length: size }, (_, n) => ({ address: first + n * 256, bits: 24, value: n }));
  const trie = buildRoutes(
    prefixes.map((p) => ({ address: [0, 0, MAPPED, p.address], lengthBits: 96 + p.bits, value: p.value })),
  );
  return {
    plain: (n: number) => naive.longestPrefix(prefixes, first + n * 256 + 7),
    fast: (n: number) => lookup4(trie, first + n * 256 + 7),
  };
}
