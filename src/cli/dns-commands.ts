/** The words of `weft dns …`; what they do is imported when called. */
import { type Command, Option } from 'commander';
import { socketOption } from './agent-commands.ts';
import { integer } from './numbers.ts';

export function addDnsCommands(program: Command): void {
  const dns = program.command('dns').description('what becomes of names that pods look up');
  const output = (): Option =>
    new Option('-o, --output <format>', 'how to print it').choices(['table', 'json']).default('table');
  dns
    .command('explain')
    .description('every name that a pod asks for when it looks one up, in order, each with its answer')
    .argument('<pod>', 'POD or namespace/POD')
    .argument('<name>', 'as the pod has it; with a final dot it is whole')
    .addOption(socketOption())
    .addOption(output())
    .addHelpText(
      'after',
      '\nExits with 1 where the name is not found.\n\nExamples:\n  weft dns explain client-0 www.example.com\n  weft lab exec hosta -- weft dns explain client-0 web',
    )
    .action(async (pod: string, name: string, options) => {
      process.exitCode = await (await import('./dns-actions.ts')).explain(pod, name, options);
    });
  dns
    .command('log')
    .description('the last questions that this host was asked; the agent must run with --dns-log')
    .argument('[pod]', 'those of POD or namespace/POD alone')
    .option('--last <count>', 'how many', integer(1, 100_000), 50)
    .addOption(socketOption())
    .addOption(output())
    .addHelpText('after', '\nExamples:\n  weft dns log\n  weft dns log client-0 --last 10')
    .action(async (pod: string | undefined, options) => (await import('./dns-actions.ts')).log(pod, options));
}
