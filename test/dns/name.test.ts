/** Names off the wire: bounds, escapes, what is refused. */

import fc from 'fast-check';
import t from 'tap';
import { canonicalName, isWithin, isWritableName, readName } from '../../src/dns/name.ts';

function wire(...labels: (string | Buffer)[]): Buffer {
  const parts = labels.map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  return Buffer.concat([...parts, Buffer.from([0])]);
}

t.test('reads labels, keeps the case, has a lower-case key', async (t) => {
  t.strictSame(readName(wire('WeB', 'Local'), 0), { text: 'WeB.Local', key: 'web.local', end: 11 });
  t.strictSame(readName(wire(), 0), { text: '', key: '', end: 1 });
  t.strictSame(readName(Buffer.concat([Buffer.alloc(12, 1), wire('a')]), 12), { text: 'a', key: 'a', end: 15 });
});

t.test('a dot inside a label is not two labels', async (t) => {
  t.equal(readName(wire('a.b', 'c'), 0)?.text, 'a\\.b.c');
  t.equal(readName(wire('a\\b'), 0)?.text, 'a\\\\b');
  t.equal(readName(wire(Buffer.from([0, 32, 200])), 0)?.text, '\\000\\032\\200');
});

t.test('refuses what is cut short, too long, a pointer or a reserved label', async (t) => {
  const whole = wire('web', 'default');
  for (let length = 0; length < whole.length; length++) {
    t.equal(readName(whole.subarray(0, length), 0), undefined, `${length} of ${whole.length} bytes`);
  }
  t.equal(readName(Buffer.from([0xc0, 0]), 0), undefined, 'pointer');
  t.equal(readName(Buffer.from([64, ...new Array<number>(64).fill(97), 0]), 0), undefined, 'reserved');
  const long = 'x'.repeat(63);
  t.ok(readName(wire(long, long, long, 'x'.repeat(61)), 0), '255 octets');
  t.equal(readName(wire(long, long, long, 'x'.repeat(62)), 0), undefined, '256 octets');
});

t.test('writable names', async (t) => {
  const long = 'x'.repeat(63);
  for (const name of ['', 'a', '_http._tcp.web', long, `${long}.${long}.${long}.${'x'.repeat(61)}`]) {
    t.ok(isWritableName(name), name);
  }
  for (const name of [
    '.',
    'a..b',
    'a.',
    'a b',
    'ä',
    'a\\b',
    'a\n',
    `x${long}`,
    `${long}.${long}.${long}.${'x'.repeat(62)}`,
  ]) {
    t.notOk(isWritableName(name), JSON.stringify(name));
  }
  t.equal(canonicalName('Web.Example.'), 'web.example');
});

t.test('within', async (t) => {
  t.ok(isWithin('a.cluster.local', 'cluster.local'));
  t.ok(isWithin('cluster.local', 'cluster.local'));
  t.notOk(isWithin('xcluster.local', 'cluster.local'));
  t.notOk(isWithin('local', 'cluster.local'));
});

t.test('any octets: a name or nothing, and a writable one is read back', async (t) => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const name = readName(bytes, 0);
        return !name || (name.end <= bytes.length && name.end <= 255);
      }),
      { seed: 1, numRuns: 2000 },
    ),
  );
  const label = fc.stringMatching(/^[a-z0-9_-]{1,20}$/);
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.array(label, { maxLength: 8 }), (labels) => {
        const text = labels.join('.');
        return isWritableName(text) && readName(wire(...labels), 0)?.text === text;
      }),
      { seed: 2, numRuns: 500 },
    ),
  );
});
