/** Services, adjacencies, ports and the empty tables: what was written down is found where the layout says. */
import t from 'tap';
import { find, NO_VALUE } from '../../src/tables/address-map.ts';
import { ADJACENCY, ADJACENCY_KIND, ADJACENCY_WORDS, buildAdjacencies } from '../../src/tables/adjacency.ts';
import { buildPorts, PORT, PORT_KIND, PORT_WORDS } from '../../src/tables/ports.ts';
import { lookup4, NO_ROUTE } from '../../src/tables/routes.ts';
import {
  ADDRESS,
  buildServices,
  ENDPOINT,
  ENDPOINT_WORDS,
  SCHEDULER,
  SERVICE,
  SERVICE_WORDS,
  type ServiceEndpoint,
  type ServicePort,
  serviceKey,
} from '../../src/tables/services.ts';
import { emptyTables } from '../../src/tables/tables.ts';
import { parseMac, type Words, wordsFrom4 } from '../../src/wire/address.ts';

const V6: Words = [0xfd000010, 0x02440001, 0, 0xffffffff];

function word(table: Int32Array, at: number): number {
  return (table[at] ?? Number.NaN) >>> 0;
}

function address(table: Int32Array, at: number): number[] {
  return [0, 1, 2, 3].map((i) => word(table, at + i));
}

t.test('services', async (t) => {
  const web = wordsFrom4(0x0a600005);
  const endpoint = (ip: number, port: number, id: number, weight?: number): ServiceEndpoint => {
    return { address: wordsFrom4(ip), port, id, weight };
  };
  const ports: ServicePort[] = [
    {
      id: 7,
      address: web,
      protocol: 6,
      port: 80,
      epoch: 3,
      endpoints: [endpoint(0x0af40105, 8080, 4), endpoint(0xfff40205, 65535, 9, 0)],
      outside: [endpoint(0xfff40205, 65535, 9, 3)],
      scheduler: 'wrr',
      affinitySeconds: 10_800,
      masquerade: true,
      whenEmpty: 'drop',
    },
    { id: 2, address: web, protocol: 17, port: 80, epoch: 1, endpoints: [] },
    { id: 0, address: V6, protocol: 6, port: 65535, epoch: 9, endpoints: [{ address: V6, port: 1, id: 0 }] },
    {
      id: 1,
      address: wordsFrom4(0xac1f000b),
      protocol: 6,
      port: 30080,
      epoch: 1,
      endpoints: [endpoint(0x0af40105, 8080, 2), endpoint(0x0af40106, 8080, 3)],
      scheduler: 'mh',
      shared: true,
    },
    { id: 3, address: wordsFrom4(0xac1f000b), protocol: 6, port: 30081, epoch: 1, endpoints: [] },
  ];
  const table = buildServices(ports);
  t.equal(table.idLimit, 8);
  const at = (list: readonly ServiceEndpoint[], first: number, service: number) => {
    for (const [k, e] of list.entries()) {
      const o = (first + k) * ENDPOINT_WORDS;
      t.same(address(table.endpoints, o + ENDPOINT.address), e.address);
      t.same(
        [ENDPOINT.port, ENDPOINT.weight, ENDPOINT.id, ENDPOINT.service].map((f) => table.endpoints[o + f]),
        [e.port, e.weight ?? 1, e.id, service],
      );
    }
  };
  for (const [i, p] of ports.entries()) {
    const found = find(table.byKey, ...p.address, serviceKey(p.protocol, p.port));
    t.equal(found, i);
    const field = (f: number) => word(table.services, found * SERVICE_WORDS + f);
    t.same(
      [field(SERVICE.id), field(SERVICE.epoch), field(SERVICE.count)],
      [p.id, p.epoch, p.endpoints.length],
      'id, epoch, count',
    );
    t.equal(field(SERVICE.scheduler), SCHEDULER[p.scheduler ?? 'failover']);
    t.equal(field(SERVICE.affinitySeconds), p.affinitySeconds ?? 0);
    t.equal(field(SERVICE.outsideCount), (p.outside ?? p.endpoints).length);
    at(p.endpoints, field(SERVICE.first), i);
    at(p.outside ?? p.endpoints, field(SERVICE.outsideFirst), i);
    t.equal(
      find(table.byAddress, ...p.address, 0),
      i < 3 ? ADDRESS.virtual : ADDRESS.shared,
      'one shared port makes the address shared',
    );
  }
  t.equal(word(table.services, SERVICE.flags), 7);
  t.equal(word(table.services, SERVICE_WORDS + SERVICE.flags), 0);
  const maglev = 3 * SERVICE_WORDS;
  t.equal(word(table.services, maglev + SERVICE.slotCount), 4093);
  t.equal(word(table.services, maglev + SERVICE.outsideSlotFirst), word(table.services, maglev + SERVICE.slotFirst));
  t.equal(table.slots.length, 4093);
  t.same([...table.endpointAt], [3, -1, 4, 5, 0, -1, -1, -1, -1, 1], 'endpoints by id');
  t.equal(find(table.byKey, ...web, serviceKey(6, 81)), NO_VALUE, 'a port that is no service');
  t.equal(find(table.byKey, ...web, serviceKey(132, 80)), NO_VALUE, 'a protocol that is none');
  t.equal(find(table.byAddress, ...wordsFrom4(0x0a600006), 0), NO_VALUE);
  t.not(serviceKey(6, 65535), serviceKey(7, 0), 'ports do not run into protocols');
  t.equal(buildServices([]).idLimit, 0);
  for (const fields of [SERVICE, ENDPOINT]) {
    t.equal(new Set(Object.values(fields)).size, Object.values(fields).length, 'no field lies over another');
  }
});

t.test('adjacencies', async (t) => {
  const mac = parseMac('8a:58:c0:00:02:01');
  if (!mac) throw new Error('does not parse');
  const table = buildAdjacencies([
    { kind: ADJACENCY_KIND.pod, port: 16, mtu: 1450 },
    {
      kind: ADJACENCY_KIND.peer,
      port: 1,
      mtu: 1450,
      peer: wordsFrom4(0xc0000201),
      mac,
      udpPort: 65535,
      vni: 0xffffff,
      nextHop: wordsFrom4(0x0af40200),
      nextHop6: [0xfd000010, 0x02440002, 0, 0],
    },
    { kind: ADJACENCY_KIND.peer, port: 1, mtu: 9000, peer: V6 },
  ]);
  t.equal(table.length, 3 * ADJACENCY_WORDS);
  t.same(
    [ADJACENCY.kind, ADJACENCY.port, ADJACENCY.mtu].map((f) => table[f]),
    [ADJACENCY_KIND.pod, 16, 1450],
  );
  t.ok(
    table.subarray(ADJACENCY.peer, ADJACENCY_WORDS).every((w) => w === 0),
    'nothing of a peer in a pod',
  );
  const o = ADJACENCY_WORDS;
  t.same(address(table, o + ADJACENCY.peer), [0, 0, 0xffff, 0xc0000201]);
  t.equal(word(table, o + ADJACENCY.nextHop4), 0x0af40200);
  t.same(address(table, o + ADJACENCY.nextHop6), [0xfd000010, 0x02440002, 0, 0]);
  t.same(
    [ADJACENCY.macHigh, ADJACENCY.macLow, ADJACENCY.udpPort, ADJACENCY.vni].map((f) => word(table, o + f)),
    [0x8a58, 0xc0000201, 65535, 0xffffff],
  );
  t.same(address(table, 2 * o + ADJACENCY.peer), V6);
  t.same([word(table, 2 * o + ADJACENCY.macHigh), word(table, 2 * o + ADJACENCY.macLow)], [0, 0], 'to be learned');
  const places = [ADJACENCY.peer, ADJACENCY.nextHop6].flatMap((f) => [f, f + 1, f + 2, f + 3]);
  const all = [...places, ...Object.values(ADJACENCY).filter((f) => f !== ADJACENCY.peer && f !== ADJACENCY.nextHop6)];
  t.equal(new Set(all).size, all.length, 'no field lies over another');
  t.ok(all.every((f) => f < ADJACENCY_WORDS));
});

t.test('ports', async (t) => {
  const table = buildPorts([
    { id: 0, kind: PORT_KIND.host, mtu: 1450 },
    { id: 17, kind: PORT_KIND.pod, mtu: 1450, address4: 0xfff40105, address6: V6 },
  ]);
  t.equal(table.length, 18 * PORT_WORDS);
  t.equal(table[PORT.kind], PORT_KIND.host);
  const o = 17 * PORT_WORDS;
  t.equal(table[o + PORT.kind], PORT_KIND.pod);
  t.equal(word(table, o + PORT.address4), 0xfff40105);
  t.equal(table[o + PORT.mtu], 1450);
  t.same(address(table, o + PORT.address6), V6);
  t.equal(table[16 * PORT_WORDS + PORT.kind], PORT_KIND.none, 'a gap is no port');
});

t.test('the empty tables know nothing and cross to a worker', async (t) => {
  const tables = structuredClone(emptyTables());
  t.same(tables, emptyTables());
  t.equal(tables.generation, 0);
  t.equal(lookup4(tables.routes, 0x0af40001), NO_ROUTE);
  t.equal(find(tables.peers, 0, 0, 0xffff, 1, 0), NO_VALUE);
  t.equal(find(tables.services.byKey, 0, 0, 0xffff, 1, serviceKey(6, 80)), NO_VALUE);
});
