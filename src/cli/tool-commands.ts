/** `weft tool …`, hidden: small programs that the demo and the tests run inside pods. They print JSON. */
import type { Command } from 'commander';
import { integer, port } from './numbers.ts';

export function addToolCommands(program: Command): void {
  const tool = program.command('tool', { hidden: true }).description('small programs that run inside pods');
  tool
    .command('http-load')
    .argument('<url>')
    .option('--requests <count>', '', integer(1, 10_000_000), 300)
    .option('--concurrency <count>', '', integer(1, 10_000), 1)
    .option('--timeout <ms>', '', integer(1, 600_000), 10_000)
    .option(
      '--pause-after <count>',
      'print "paused" then, and go on with a line on standard input',
      integer(1, 10_000_000),
    )
    .option('--per-second <count>', '', integer(1, 100_000))
    .option('--interval <ms>', 'also what ended when, in intervals', integer(1, 60_000))
    .action(async (url: string, options) => (await import('./tool-actions.ts')).load(url, options));
  tool
    .command('ping')
    .argument('<address...>')
    .option('--count <count>', '', integer(1, 10_000), 3)
    .action(async (addresses: string[], options) => (await import('./tool-actions.ts')).ping(addresses, options.count));
  tool
    .command('trace')
    .argument('<address>')
    .action(async (address: string) => (await import('./tool-actions.ts')).trace(address));
  tool
    .command('resolve')
    .argument('<name>')
    .action(async (name: string) => (await import('./tool-actions.ts')).resolveName(name));
  tool
    .command('udp-ask')
    .argument('<host>')
    .argument('<port>', '', port)
    .argument('<text>')
    .option('--count <count>', '', integer(1, 1000), 1)
    .action(async (host: string, at: number, text: string, options) => {
      await (await import('./tool-actions.ts')).udpAsk(host, at, text, options.count);
    });
  tool
    .command('tcp-receive')
    .requiredOption('--port <port>', '', port)
    .action(async (options) => (await import('./tool-actions.ts')).tcpReceive(options.port));
  tool
    .command('tcp-send')
    .argument('<address>')
    .requiredOption('--port <port>', '', port)
    .option('--seconds <seconds>', '', integer(1, 3600), 2)
    .action(async (address: string, options) => {
      await (await import('./tool-actions.ts')).tcpSend(address, options.port, options.seconds);
    });
  tool
    .command('host-manifests')
    .requiredOption('--hosts <count>', '', integer(1, 200))
    .requiredOption('--cidr <prefix>', 'of the underlay')
    .option('--cidr6 <prefix>', 'of the underlay in IPv6, where it has that')
    .option('--beside <path...>', 'manifests whose Nodes and Pods are there already')
    .option('--example-pods', 'also the two pods of the example, on hosts that run none')
    .action(async (options) => (await import('./host-manifests.ts')).hostManifests(options));
}
