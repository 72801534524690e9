/** Longest-prefix match beside a reference that looks at every route. */
import fc from 'fast-check';
import t from 'tap';
import { buildRoutes, lookup, lookup4, NO_ROUTE, type Route } from '../../src/tables/routes.ts';
import { isV4, parseAddress, type Words } from '../../src/wire/address.ts';
import { parsePrefix, prefixContains } from '../../src/wire/prefix.ts';

function route(text: string, value: number): Route {
  const prefix = parsePrefix(text);
  if (!prefix) throw new Error(`${text} does not parse`);
  return { ...prefix, value };
}

function words(text: string): Words {
  const w = parseAddress(text);
  if (!w) throw new Error(`${text} does not parse`);
  return w;
}

function find(table: ReturnType<typeof buildRoutes>, w: Words): number {
  return lookup(table, w[0], w[1], w[2], w[3]);
}

/** The longest of all routes that cover the address; among equals the last. */
function naive(routes: readonly Route[], w: Words): number {
  let best: Route | undefined;
  for (const r of routes) {
    if (prefixContains(r, w) && (!best || r.lengthBits >= best.lengthBits)) best = r;
  }
  return best ? best.value : NO_ROUTE;
}

t.test('a cluster', async (t) => {
  const table = buildRoutes([
    route('10.244.1.0/24', 1),
    route('10.244.0.0/16', 2),
    route('0.0.0.0/0', 0),
    route('10.244.1.7/32', 3),
    route('fd00:10:244::/48', 4),
    route('fd00:10:244:1::5/128', 5),
  ]);
  const want: Record<string, number> = {
    '10.244.1.7': 3,
    '10.244.1.6': 1,
    '10.244.2.7': 2,
    '10.245.0.0': 0,
    '255.255.255.255': 0,
    '0.0.0.0': 0,
    'fd00:10:244:1::5': 5,
    'fd00:10:244:1::6': 4,
    'fd00:10:245::': NO_ROUTE,
    '::': NO_ROUTE,
    '::1': NO_ROUTE,
  };
  for (const [text, value] of Object.entries(want)) {
    const w = words(text);
    t.equal(find(table, w), value, text);
    if (isV4(w)) t.equal(lookup4(table, w[3]), value, text);
  }
});

t.test('nothing, everything, and a default for both families', async (t) => {
  const none = buildRoutes([]);
  t.equal(lookup4(none, 0x0a000001), NO_ROUTE);
  t.equal(find(none, words('::1')), NO_ROUTE);
  const all = buildRoutes([{ address: [1, 2, 3, 4], lengthBits: 0, value: 0 }]);
  t.equal(lookup4(all, 0xffffffff), 0);
  t.equal(find(all, words('ffff::')), 0);
  const four = buildRoutes([route('0.0.0.0/0', 7)]);
  t.equal(lookup4(four, 0), 7);
  t.equal(find(four, words('::fffe:0:0')), NO_ROUTE, 'next to the mapped addresses');
  t.equal(find(buildRoutes([route('1.2.3.4/32', 0), route('1.2.3.4/32', 9)]), words('1.2.3.4')), 9, 'the last wins');
});

t.test('seeded random tables, both families mixed', async (t) => {
  // Few distinct bytes, so that prefixes nest and addresses hit them.
  const byte = fc.constantFrom(0, 1, 10, 127, 128, 244, 255);
  const word = fc.tuple(byte, byte, byte, byte).map(([a, b, c, d]) => ((a << 24) | (b << 16) | (c << 8) | d) >>> 0);
  const v4 = word.map((w): Words => [0, 0, 0xffff, w]);
  const v6 = fc.tuple(word, word, word, word);
  const v4Route = fc.tuple(v4, fc.integer({ min: 96, max: 128 }));
  const v6Route = fc.tuple(v6, fc.integer({ min: 0, max: 128 }));
  const routes = fc.array(fc.oneof(v4Route, v6Route), { maxLength: 40 });
  let hits = 0;
  const property = fc.property(routes, fc.array(fc.oneof(v4, v6), { minLength: 20, maxLength: 20 }), (list, others) => {
    const given = list.map(([address, lengthBits], value): Route => ({ address, lengthBits, value }));
    const table = buildRoutes(given);
    // Beside random addresses those of the routes, and their neighbours in the last and the first bit.
    const near = given.flatMap(({ address: [a, b, c, d] }): Words[] => [
      [a, b, c, d],
      [a, b, c, (d ^ 1) >>> 0],
      [a, b, c, (d ^ 0x80000000) >>> 0],
    ]);
    for (const w of [...others, ...near]) {
      const want = naive(given, w);
      if (want >= 0) hits++;
      const signed: Words = [w[0] | 0, w[1] | 0, w[2] | 0, w[3] | 0];
      if (find(table, w) !== want || find(table, signed) !== want) return false;
      if (isV4(w) && lookup4(table, w[3]) !== want) return false;
    }
    return true;
  });
  fc.assert(property, { seed: 1519, numRuns: 500 });
  t.ok(hits > 1000, `${hits} lookups hit a route`);
});

t.test('many routes: the table grows', async (t) => {
  const given = Array.from({ length: 3000 }, (_, i): Route => {
    return { address: [0, 0, 0xffff, (0x0a000000 + i * 131) >>> 0], lengthBits: 128, value: i };
  });
  const table = buildRoutes(given);
  const wrong = given.filter((r) => lookup4(table, r.address[3]) !== r.value || find(table, r.address) !== r.value);
  t.same(wrong, []);
  t.equal(lookup4(table, 0x0a000001), NO_ROUTE);
});
