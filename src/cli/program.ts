/**
 * Every command with its options, help and examples. Only words are defined here; what a command does is imported when
 * it is called, so that `weft lab exec` and `weft netexec` do not wait for what they do not need.
 */
import { Command, Option } from 'commander';
import { addAgentCommands } from './agent-commands.ts';
import { addApiServer, addKubeconfig } from './apiserver-commands.ts';
import { addBench } from './bench-command.ts';
import { addClusterCommands } from './cluster-commands.ts';
import { addDnsCommands } from './dns-commands.ts';
import { addLabCommands } from './lab-commands.ts';
import { port } from './numbers.ts';
import { addServicesCommand } from './services-command.ts';
import { addToolCommands } from './tool-commands.ts';
import { weftVersion } from './version.ts';

const EXIT_CODES = `
Exit codes: 0 done, 1 failed (one line on standard error says what), 2 the command line was not understood.`;

export function buildProgram(): Command {
  const program = new Command('weft')
    .description('A Kubernetes-style pod network that runs wholly in user space.')
    .version(weftVersion(), '-V, --version')
    .enablePositionalOptions()
    .showHelpAfterError('(weft --help lists the commands)')
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'weft: ')) })
    .addHelpText('after', EXIT_CODES);
  addLabCommands(program);
  addAgentCommands(program);
  addApiServer(program);
  addKubeconfig(program);
  addClusterCommands(program);
  addDnsCommands(program);
  addServicesCommand(program);
  addDemo(program);
  addBench(program);
  addNetexec(program);
  addToolCommands(program);
  program
    .command('version')
    .description('print the versions of weft, Node and the kernel')
    .action(async () => {
      const { release } = await import('node:os');
      console.log(`weft ${weftVersion()}\nnode ${process.versions.node}\nlinux ${release()}`);
    });
  overrideAll(program);
  return program;
}

/** Settings that commands made by `command()` before them do not inherit. */
function overrideAll(command: Command): void {
  for (const child of command.commands) {
    child.copyInheritedSettings(command);
    overrideAll(child);
  }
}

function addDemo(program: Command): void {
  program
    .command('demo')
    .description('bring a lab up, try everything in it, print one table, take it down')
    .option('--keep', 'leave the lab up (weft lab down --name demo takes it down)')
    .addOption(
      new Option('-o, --output <format>', 'how to print the results').choices(['table', 'json']).default('table'),
    )
    .addHelpText(
      'after',
      '\nExamples:\n  weft demo\n  weft demo --keep && weft lab exec --name demo client-0 -- curl http://web/hostname',
    )
    .action(async (options: { keep?: boolean; output: 'table' | 'json' }) => {
      const { demo } = await import('./demo.ts');
      process.exitCode = await demo(options);
    });
}

function addNetexec(program: Command): void {
  program
    .command('netexec')
    .description('a small HTTP and UDP server for trying networks out')
    .option('--http-port <port>', 'serve HTTP: /hostname /clientip /echo?msg= /healthz /shutdown', port, 8080)
    .option('--udp-port <port>', 'answer UDP: hostname, clientip, echo …', port)
    .option('--address <ip>', 'listen on this address alone')
    .addHelpText('after', '\nExamples:\n  weft netexec --http-port 80 --udp-port 8081')
    .action(async (options: { httpPort: number; udpPort?: number; address: string }) => {
      const { serveNetexec } = await import('../lab/netexec.ts');
      const stop = (exitCode: number): void => {
        void close().then(() => process.exit(exitCode));
      };
      const close = await serveNetexec(options, stop);
      process.once('SIGTERM', () => stop(0)).once('SIGINT', () => stop(0));
    });
}
