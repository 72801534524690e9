/** The addresses that a node gives its own pods: kept, never given twice, rested before they are given again. */
import t from 'tap';
import { AddressLedger, type LedgerEntry, type LedgerRanges } from '../../src/control/address-ledger.ts';
import type { Pod } from '../../src/kube/objects.ts';
import { formatAddress } from '../../src/wire/address.ts';
import { type Prefix, parsePrefix } from '../../src/wire/prefix.ts';

const RANGES: LedgerRanges = {
  podCidr: parsePrefix('10.244.1.0/24') as Prefix,
  podCidr6: parsePrefix('fd00:10:244:1::/64') as Prefix,
};
const NONE = new Set<string>();

function pod(name: string, more: { uid?: string; ip?: string; wish?: string } = {}): Pod {
  const { uid = `uid-${name}`, ip, wish } = more;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', uid, ...(wish ? { annotations: { 'weft.dev/ip': wish } } : {}) },
    spec: { nodeName: 'a', containers: [{ name: 'c' }] },
    ...(ip ? { status: { podIP: ip } } : {}),
  };
}

class Node {
  ledger = new AddressLedger();
  ranges = RANGES;
  problems: string[] = [];
  nowMs = 1_000_000;
  #written = '[]';

  give(pods: Pod[], held: ReadonlySet<string> = NONE): Record<string, string> {
    const { addresses, problems } = this.ledger.assign(pods, this.ranges, held, this.nowMs);
    this.problems = problems.map(({ message }) => message);
    return Object.fromEntries([...addresses].map(([key, own]) => [key.slice(8), own.map(formatAddress).join()]));
  }

  restart(): void {
    this.#written = JSON.stringify(this.ledger.takeChanges() ?? JSON.parse(this.#written));
    this.ledger = new AddressLedger(JSON.parse(this.#written) as LedgerEntry[]);
  }
}

t.test('one of each family, of which the second ends like the first', async (t) => {
  const node = new Node();
  const { web } = node.give([pod('web')]);
  const four = web?.split(',')[0] ?? '';
  const last = Number(four.split('.')[3]);
  t.match(four, /^10\.244\.1\./);
  t.equal(web, `10.244.1.${last},fd00:10:244:1::1${last.toString(16).padStart(2, '0')}`);
  t.strictSame(node.give([pod('db'), pod('web')]).web, web, 'whoever else comes');
});

t.test('what is written goes first, what cannot be is said or passed over', async (t) => {
  const node = new Node();
  t.match(node.give([pod('wished', { wish: '10.244.1.77,fd00:10:244:1::99' }), pod('known', { ip: '10.244.1.78' })]), {
    wished: '10.244.1.77,fd00:10:244:1::99',
    known: /^10\.244\.1\.78,/,
  });
  const more = [
    pod('wished', { wish: '10.244.1.77,fd00:10:244:1::99' }),
    pod('twin', { wish: '10.244.1.77' }),
    pod('far', { wish: '10.244.9.9' }),
    pod('gate', { wish: '10.244.1.1' }),
    pod('end', { wish: '10.244.1.255' }),
    pod('late', { ip: '10.244.1.77' }),
  ];
  t.strictSame(Object.keys(node.give(more)).sort(), ['late', 'wished']);
  t.strictSame(node.problems, [
    'Pod default/twin: 10.244.1.77 is the address of another pod: it waits',
    'Pod default/far: 10.244.9.9 is outside 10.244.1.0/24 of the node: it waits',
    'Pod default/gate: 10.244.1.1 is reserved in 10.244.1.0/24: it waits',
    'Pod default/end: 10.244.1.255 is reserved in 10.244.1.0/24: it waits',
  ]);
});

t.test('an address rests when its pod has gone; who wishes for it has it at once', async (t) => {
  const node = new Node();
  const { web } = node.give([pod('web')]);
  t.strictSame(node.give([], new Set(['uid-web'])), {}, 'its network is there still');
  t.not(node.give([pod('web', { uid: 'second' })]).web, web, 'the same name, another pod');
  node.nowMs += 59_000;
  t.not(node.give([pod('web', { uid: 'third' })]).web, web);
  node.nowMs += 62_000;
  t.equal(node.give([pod('web', { uid: 'fourth' })]).web, web, 'rested');
  node.give([]);
  const four = web?.split(',')[0] as string;
  t.match(node.give([pod('other', { wish: four })]).other, new RegExp(`^${four},`));
});

t.test('a held pod rests from when it is let go', async (t) => {
  const node = new Node();
  const { web } = node.give([pod('web')]);
  node.nowMs += 1000;
  node.give([], new Set(['uid-web']));
  node.nowMs += 100_000;
  node.give([]);
  node.nowMs += 1000;
  t.not(node.give([pod('web', { uid: 'second' })]).web, web);
});

t.test('a restart forgets nothing', async (t) => {
  const node = new Node();
  const { web } = node.give([pod('web'), pod('gone')]);
  const { gone } = node.give([pod('web'), pod('gone')]);
  node.give([pod('web')]);
  node.restart();
  t.equal(node.give([pod('web')]).web, web);
  t.not(node.give([pod('web'), pod('gone', { uid: 'second' })]).gone, gone);
  t.equal(node.ledger.takeChanges()?.length, 3);
  t.equal(node.ledger.takeChanges(), undefined, 'nothing new to write');
});

t.test('another range: everything begins anew', async (t) => {
  const node = new Node();
  node.give([pod('web')]);
  node.ranges = { podCidr: parsePrefix('10.244.7.0/24') as Prefix };
  t.match(node.give([pod('web')]).web, /^10\.244\.7\.\d+$/);
});

t.test('a full range: the address that rested longest, then none', async (t) => {
  const node = new Node();
  node.ranges = { podCidr: parsePrefix('10.244.1.0/29') as Prefix };
  const five = ['a', 'b', 'c', 'd', 'e'].map((name) => pod(name));
  const first = node.give(five);
  t.equal(new Set(Object.values(first)).size, 5);
  node.give(five.slice(1));
  node.nowMs += 1000;
  node.give(five.slice(2));
  const next = node.give([...five.slice(2), pod('f'), pod('g'), pod('h')]);
  t.equal(next.f, first.a);
  t.equal(next.g, first.b);
  t.equal(next.h, undefined);
  t.strictSame(node.problems, [
    'Pod default/h: spec.nodeName: no address is free in 10.244.1.0/29 of Node a: it waits',
  ]);
});

t.test('random comings and goings: never twice at once, never another one for who stays', async (t) => {
  const node = new Node();
  node.ranges = { podCidr: parsePrefix('10.244.1.0/26') as Prefix };
  let seed = 3;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return seed % below;
  };
  let pods: Pod[] = [];
  let before: Record<string, string> = {};
  for (let round = 0; round < 400; round++) {
    pods = pods.filter(() => random(10) > 0);
    while (pods.length < 20 + random(25)) pods.push(pod(`p${random(1000)}-${round}-${pods.length}`));
    node.nowMs += random(5000);
    if (random(20) === 0) node.restart();
    const now = node.give(pods);
    t.equal(new Set(Object.values(now)).size, pods.length);
    for (const { metadata } of pods) {
      const { name } = metadata;
      if (before[name] !== undefined && before[name] !== now[name]) t.fail(`${name} moved in round ${round}`);
    }
    before = now;
  }
});
