/** What people read: numbers, time that is left, checksum counters, and the options of `weft bench` handed on. */
import { resolve } from 'node:path';
import t from 'tap';
import { countChecksumErrors } from '../../bench/checksum-errors.ts';
import { timeLeft } from '../../bench/progress.ts';
import { asked, cost, number, ratio } from '../../bench/report-words.ts';
import { bench, wordsOf } from '../../src/cli/bench-action.ts';

t.test('numbers', async (t) => {
  t.strictSame([0.12345, 1.5, 12.345, 1234.5, 7].map(number), ['0.123', '1.50', '12.3', '1235', '7']);
  t.strictSame([0.5, 12.34, 123.4].map(ratio), ['0.50', '12.3', '123']);
  t.strictSame([{ least: 8 }, { most: 1.3 }].map(asked), ['at least 8.00', 'at most 1.30']);
  t.strictSame([{}, { secondsPerGigabyte: 2 }, { secondsPerGigabyte: 2, secondsPerMillionPackets: 3 }].map(cost), [
    '',
    '2 s/GB',
    '3 s/Mpacket',
  ]);
});

t.test('time that is left', async (t) => {
  t.strictSame([3, 61, 91, 1500].map(timeLeft), ['nearly done', '65 s left', '2 min left', '25 min left']);
});

t.test('checksum errors of every protocol', async (t) => {
  const snmp = [
    'Tcp: ActiveOpens InErrs InCsumErrors',
    'Tcp: 5 6 7',
    'Udp: InDatagrams InCsumErrors MemErrors',
    'Udp: 1 20 3',
    '',
  ];
  t.equal(countChecksumErrors(snmp.join('\n')), 27);
});

t.test('weft bench hands its options on', async (t) => {
  t.strictSame(wordsOf({ output: 'table' }), ['--output', 'table']);
  t.strictSame(wordsOf({ rounds: 3, seconds: 0.5, peers: 'tinc', quick: true, out: 'here', output: 'json' }), [
    ...['--rounds', '3', '--seconds', '0.5', '--peers', 'tinc', '--output', 'json', '--quick'],
    ...['--out', resolve('here')],
  ]);
  t.strictSame(wordsOf({ services: true, output: 'table' }), ['--output', 'table', '--services']);
  t.strictSame(wordsOf({ dns: true, output: 'table' }), ['--output', 'table', '--dns']);
  t.strictSame(wordsOf({ against: '../before', output: 'table' }), [
    ...['--output', 'table', '--against', resolve('../before')],
  ]);
});

t.test('without a checkout it says so', async (t) => {
  await t.rejects(bench({ output: 'table' }, `${t.testdir()}/`), {
    message: /^there is no bench in /,
    remedy: /checkout/,
  });
});
