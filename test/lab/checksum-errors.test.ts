import t from 'tap';
import { parseChecksumErrors } from '../../src/lab/checksum-errors.ts';

t.test('the counters that are not zero, by group', (t) => {
  const snmp = [
    'Icmp: InMsgs InErrors InCsumErrors',
    'Icmp: 9 8 0',
    'Tcp: RtoAlgorithm InErrs OutRsts InCsumErrors',
    'Tcp: 1 2 3 4',
    'Udp: InDatagrams InCsumErrors MemErrors',
    'Udp: 5 6 7',
  ];
  t.same(parseChecksumErrors(snmp.join('\n')), { 'Tcp InCsumErrors': 4, 'Udp InCsumErrors': 6 });
  t.same(parseChecksumErrors(''), {});
  t.end();
});
