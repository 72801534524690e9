/**
 * What `make bench-dns` measures: the cluster's names, asked by a pod of the host that the server runs on; once with
 * 10,000 services and once with 1,000. Weft takes part twice: as it is, and with every name answered by the server's
 * socket, so that what the dataplane's answers bring is seen.
 */
import { Dnsmasq, Knot, Unbound } from './contenders/dns-programs.ts';
import { OWN } from './contenders/every-contender.ts';
import { WeftDns } from './contenders/weft-dns.ts';
import { narrowed, type Wanted } from './plan.ts';
import type { Stage } from './rounds.ts';
import { names } from './subjects/names.ts';

const MOST = 10_000;
const FEW = 1000;

export function dnsStagesOf(wanted: Wanted): Stage[] {
  const stage = (name: string, title: string, count: number): Stage => ({
    name,
    title,
    contenders: [
      new WeftDns({ name: OWN, title: 'Weft', flags: [], about: 'answers from the dataplane’s worker' }, count),
      new WeftDns(
        {
          name: 'weft-socket',
          title: 'Weft, by its socket',
          flags: ['--no-dns-offload'],
          about: 'every answer from the server’s socket',
        },
        count,
      ),
      new Dnsmasq(count),
      new Unbound(count),
      new Knot(count),
    ],
    events: [{ subject: names(wanted.seconds), takesPart: () => true }],
  });
  return [stage('', '', MOST), stage('1000-names', '1,000 names', FEW)]
    .map((each) => narrowed(each, wanted))
    .filter((each) => each.events.length > 0);
}
