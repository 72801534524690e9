/** Packing of endpoints into slices: nothing lost or doubled, whatever came before, and few writes. */
import t from 'tap';
import { type EndpointGroup, packSlices, SLICE_ENDPOINTS } from '../../../src/apiserver/controllers/slice-packing.ts';
import type { EndpointSlice } from '../../../src/kube/objects.ts';
import { Random } from '../../dataplane/random.ts';

const HTTP = [{ name: 'http', port: 80, protocol: 'TCP' }];
const OTHER = [{ name: 'http', port: 8080, protocol: 'TCP' }];

function endpoint(i: number, ready = true) {
  return {
    addresses: [`10.244.${i >> 8}.${i & 255}`],
    conditions: { ready, serving: ready, terminating: false },
    targetRef: { kind: 'Pod', namespace: 'default', name: `p${i}`, uid: `${i}` },
  };
}

function group(numbers: Iterable<number>, ports = HTTP, late = new Set<number>()): EndpointGroup {
  return { addressType: 'IPv4', ports, endpoints: [...numbers].map((i) => endpoint(i, !late.has(i))) };
}

let made = 0;

/** The slices after a plan, and how many were written. */
function carry(slices: EndpointSlice[], groups: EndpointGroup[]): { slices: EndpointSlice[]; writes: number } {
  const plan = packSlices(slices, groups);
  const updates = new Map(plan.update.map(({ slice, to }) => [slice, to]));
  const contents = ({ addressType, ports, endpoints }: EndpointGroup) => ({
    addressType,
    ports: [...ports],
    endpoints,
  });
  const kept = slices
    .filter((slice) => !plan.delete.includes(slice))
    .map((slice) => ({ ...slice, ...(updates.has(slice) ? contents(updates.get(slice) as EndpointGroup) : {}) }));
  const created = plan.create.map(
    (one): EndpointSlice => ({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: `web-${made++}`, namespace: 'default' },
      ...contents(one),
    }),
  );
  const writes = plan.create.length + plan.update.length + plan.delete.length;
  return { slices: structuredClone([...kept, ...created]), writes };
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
const sizes = (slices: EndpointSlice[]) => slices.map(({ endpoints = [] }) => endpoints.length);

t.test('a hundred a slice, and as few writes as can be', async (t) => {
  let { slices, writes } = carry([], [group(range(0, 250))]);
  t.same([sizes(slices), writes], [[100, 100, 50], 3]);
  t.equal(carry(slices, [group(range(0, 250).reverse())]).writes, 0, 'the order does not matter');
  ({ slices, writes } = carry(slices, [group(range(0, 250), HTTP, new Set([7]))]));
  t.equal(writes, 1, 'one endpoint, one slice');
  ({ slices, writes } = carry(slices, [group(range(0, 300))]));
  t.same([sizes(slices), writes], [[100, 100, 100], 2]);
  ({ slices, writes } = carry(slices, [group(range(0, 301))]));
  t.same([sizes(slices), writes], [[100, 100, 100, 1], 1]);
  ({ slices, writes } = carry(slices, [group([...range(1, 300), 400])]));
  t.same([sizes(slices), writes], [[100, 100, 100], 2], 'the one with room is gone with its last; its place is taken');
  ({ slices, writes } = carry(slices, [group([])]));
  t.same([sizes(slices), writes], [[0], 3], 'one says that there is nobody');
  ({ slices, writes } = carry(slices, [group([1, 2])]));
  t.same([sizes(slices), writes], [[2], 1]);
  const [name] = slices.map(({ metadata }) => metadata.name);
  ({ slices, writes } = carry(slices, [group([1, 2], OTHER)]));
  t.same(
    [slices.map(({ metadata }) => metadata.name), writes],
    [[name], 1],
    'other ports: the same slice, in one write',
  );
  t.same(carry(slices, []), { slices: [], writes: 1 });
});

t.test('random changes lose and double nothing', async (t) => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = new Random(seed);
    let slices: EndpointSlice[] = [];
    for (let step = 0; step < 40; step++) {
      const most = random.below(500);
      const groups = [HTTP, OTHER].map((ports, i) =>
        group(
          range(0, most).filter((n) => n % 2 === i && random.below(10) > 0),
          ports,
          new Set(range(0, most).filter(() => random.below(20) === 0)),
        ),
      );
      // Somebody's hand.
      const some = slices[random.below(20)];
      if (some) slices.push(structuredClone({ ...some, metadata: { ...some.metadata, name: `copy-${made++}` } }));
      ({ slices } = carry(slices, groups));
      const is = slices.flatMap(({ ports, endpoints = [] }) => endpoints.map((e) => JSON.stringify([ports, e]))).sort();
      const wanted = groups.flatMap(({ ports, endpoints }) => endpoints.map((e) => JSON.stringify([ports, e]))).sort();
      if (is.join() !== wanted.join()) t.same(is, wanted, `seed ${seed}, step ${step}`);
      if (sizes(slices).some((size) => size > SLICE_ENDPOINTS)) t.fail(`seed ${seed}, step ${step}: ${sizes(slices)}`);
      const again = carry(slices, groups);
      if (again.writes > 0) t.fail(`seed ${seed}, step ${step}: ${again.writes} writes for nothing`);
    }
  }
  t.pass();
});
