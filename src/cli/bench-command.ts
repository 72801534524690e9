/** `weft bench`: only the words; the bench itself is found when it is called. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { BenchOptions } from './bench-action.ts';
import { integer } from './numbers.ts';

export function addBench(program: Command): void {
  program
    .command('bench')
    .description('measure Weft beside kernel VXLAN and other programs on this machine; part of a checkout only')
    .option('--rounds <count>', 'rounds, each of which measures everyone (5; 2 with --quick)', integer(1, 1000))
    .option('--seconds <seconds>', 'how long one measurement takes (1)', seconds)
    .option('--subjects <names>', 'only these subjects, with commas: tcp-1,ping,tcp-1/service')
    .option('--peers <names>', 'only these beside Weft, with commas: kernel-vxlan,tinc')
    .option('--quick', 'Weft and kernel VXLAN, few subjects; fails when a ratio is under its floor')
    .option('--services', 'ways to the endpoints of a service: Weft, the kernel, HAProxy, nginx')
    .option('--dns', 'DNS servers with 10,000 names: Weft, dnsmasq, Unbound, Knot DNS; needs dnsperf')
    .option(
      '--cluster',
      'an API server with 500 simulated nodes, on LMDB and on three etcd members; takes --quick and --out',
    )
    .option('--list', 'list the subjects and peers that there are')
    .option(
      '--against <checkout>',
      'compare with the Weft that was built in another checkout; --out writes against.json',
    )
    .option('--out <folder>', 'also write a report with plots there: overlay, services or dns.{md,json,html}')
    .addOption(
      new Option('-o, --output <format>', 'how to print the results').choices(['table', 'json']).default('table'),
    )
    .addHelpText(
      'after',
      `
Peers that are not installed are named and left out; make bench-peers installs them.

Examples:
  weft bench --quick
  weft bench --subjects tcp-1,ping --peers kernel-vxlan,tinc --rounds 3
  weft bench --services --peers haproxy
  weft bench --dns
  weft bench --out docs/benchmarks`,
    )
    .action(async (options: BenchOptions) => {
      const { bench } = await import('./bench-action.ts');
      process.exitCode = await bench(options);
    });
}

function seconds(text: string): number {
  const value = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && value >= 0.2 && value <= 600) return value;
  throw new InvalidArgumentError('it must be a number from 0.2 to 600.');
}
