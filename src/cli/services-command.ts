/** The words of `weft services`; what it does is imported when called. */
import { type Command, Option } from 'commander';
import { socketOption } from './agent-commands.ts';

export function addServicesCommand(program: Command): void {
  program
    .command('services')
    .description('the services as this host serves them: addresses, ports, mode; who stands behind those named')
    .argument('[name...]', 'NAME or namespace/NAME: endpoints, connections, failures, and why one is not served')
    .addOption(socketOption())
    .addOption(new Option('-o, --output <format>', 'how to print them').choices(['table', 'json']).default('table'))
    .addHelpText(
      'after',
      `
Connections are counted by each host for itself, since the endpoint came to stand behind the service. One that moved on
from an endpoint counts as one of its failures. Exits with 1 where a name is not known.

Examples:
  weft services
  weft services web kube-system/metrics
  weft services web -o json
  weft lab exec hosta -- weft services web`,
    )
    .action(async (names: string[], options: { socket?: string; output: 'table' | 'json' }) =>
      (await import('./services-actions.ts')).services(names, options),
    );
}
