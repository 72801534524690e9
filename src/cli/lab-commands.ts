/** The words of `weft lab …`; what they do is in lab-actions.ts, imported when called. */
import { type Command, Option } from 'commander';
import type { LabDir } from '../lab/lab-dir.ts';
import { addEtcdOptions } from './etcd-options.ts';
import { integer } from './numbers.ts';

const MAX_HOSTS = 200;

export function addLabCommands(program: Command): void {
  const lab = program
    .command('lab')
    .description('hosts as network namespaces on this machine, one agent each; without root where the machine allows')
    .enablePositionalOptions()
    .addHelpText(
      'after',
      `
Without --name, the lab called default is meant, or the only one that is up; WEFT_LAB names another.
Labs live in /var/lib/weft/labs (root) or ~/.local/state/weft/labs; WEFT_HOME moves them.`,
    );
  addUp(lab);
  addExec(lab);
  addLooking(lab);
  lab
    .command('down')
    .description('take a lab down, or clean up what a killed one left')
    .option('--name <name>', 'which lab')
    .option('--all', 'every lab')
    .addHelpText('after', '\nExamples:\n  weft lab down\n  weft lab down --all')
    .action(async (options) => (await import('./lab-actions.ts')).labDown(options));
  addHolder(program);
}

function addUp(lab: Command): void {
  const command = lab
    .command('up')
    .description('bring a lab up; returns when every agent is ready and every pod runs')
    .argument('[file]', 'lab file (YAML): name, hosts, underlay, backend, vni, manifests, agent')
    .option('--name <name>', 'name of the lab')
    .option('--hosts <count>', 'how many hosts, where the file names none', integer(1, MAX_HOSTS))
    .option('--manifests <path...>', 'Kubernetes manifests, files or folders; watched')
    .addOption(
      new Option('--store <kind>', 'where its API server keeps objects: a folder, or an etcd that it starts or joins')
        .choices(['lmdb', 'etcd'])
        .default('lmdb'),
    );
  addEtcdOptions(command, '/weft/HOSTNAME/LAB')
    .option('--no-apiserver', 'no API server: agents read the manifests themselves')
    .option('--timeout <seconds>', 'give up after this long', integer(1, 3600), 60)
    .option('--keep', 'when it fails, leave it as it is for a look')
    .addHelpText(
      'after',
      `
Without a file: three hosts (hosta, hostb, hostc) on 172.31.0.0/24, on each a pod web-N (a web server) and a pod
client-N, and a service web over the servers.

An API server applies the manifests, and applies them again when they change; kubectl drives it (weft lab kubeconfig).

Examples:
  weft lab up
  weft lab up --hosts 5 --name five
  weft lab up --manifests my-app/
  weft lab up --store etcd
  weft lab up --store etcd --etcd-servers https://10.0.0.1:2379 --etcd-cafile ca.pem --etcd-certfile lab.pem \\
      --etcd-keyfile lab.key
  weft lab up examples/host-gw.yaml`,
    )
    .action(async (file: string | undefined, options) => (await import('./lab-actions.ts')).labUp(file, options));
}

function addExec(lab: Command): void {
  lab
    .command('exec')
    .description('run a command in a host or a pod; a shell where none is given')
    .argument('<target>', 'name of a host, POD or namespace/POD')
    .argument('[command...]', 'the command, after --')
    .option('--name <name>', 'which lab')
    .passThroughOptions()
    .addHelpText(
      'after',
      `
Exits with the command's exit code; 128 + N where signal N ended it.

Examples:
  weft lab exec client-0 -- curl -s http://web/hostname
  weft lab exec hosta -- ip route
  weft lab exec default/web-0`,
    )
    .action(async (target: string, command: string[], options: { name?: string }) => {
      process.exitCode = await (await import('./lab-exec.ts')).labExec(target, command, options);
    });
}

function addLooking(lab: Command): void {
  lab
    .command('status')
    .description('hosts, agents, pods, services and what is wrong')
    .option('--name <name>', 'which lab')
    .addOption(new Option('-o, --output <format>', 'how to print it').choices(['table', 'json']).default('table'))
    .addHelpText('after', '\nExamples:\n  weft lab status\n  weft lab status -o json')
    .action(async (options) => (await import('./lab-actions.ts')).labStatus(options));
  lab
    .command('kubeconfig')
    .description("print the administrator's kubeconfig, for kubectl on this machine")
    .option('--name <name>', 'which lab')
    .addOption(
      new Option('-o, --output <format>', 'its text, or where it is').choices(['yaml', 'path']).default('yaml'),
    )
    .addHelpText(
      'after',
      '\nExamples:\n  export KUBECONFIG=$(weft lab kubeconfig -o path)\n  weft lab kubeconfig > ~/.kube/config',
    )
    .action(async (options) => (await import('./lab-actions.ts')).labKubeconfig(options));
  lab
    .command('logs')
    .description("print what a host's agent or a pod said")
    .argument('<target>', 'name of a host, POD or namespace/POD')
    .option('--name <name>', 'which lab')
    .option('-f, --follow', 'go on as it grows')
    .option('--tail <lines>', 'only the last lines', integer(0, 1_000_000))
    .addHelpText('after', '\nExamples:\n  weft lab logs hosta --tail 20\n  weft lab logs web-0 -f')
    .action(async (target: string, options) => (await import('./lab-actions.ts')).labLogs(target, options));
  lab
    .command('list')
    .description('all labs of this user')
    .addOption(new Option('-o, --output <format>', 'how to print them').choices(['table', 'json']).default('table'))
    .addHelpText('after', '\nExamples:\n  weft lab list')
    .action(async (options) => (await import('./lab-actions.ts')).labList(options));
}

/** What `weft lab up` starts inside the lab's namespaces, and beside them; not for people. */
function addHolder(program: Command): void {
  program
    .command('lab-holder', { hidden: true })
    .requiredOption('--dir <path>', "the lab's directory")
    .action(async ({ dir }: { dir: string }) => {
      const { runHolder } = await import('../lab/holder.ts');
      await runHolder(await labAt(dir));
      process.exit(0);
    });
  program
    .command('lab-tunnel', { hidden: true })
    .requiredOption('--dir <path>', "the lab's directory")
    .action(async ({ dir }: { dir: string }) => {
      const { serveTunnel } = await import('../lab/etcd-tunnel.ts');
      const lab = await labAt(dir);
      const members = lab.topology()?.api?.etcd?.servers ?? [];
      await serveTunnel(lab.tunnelSocket, members, (message) => console.error(`lab: etcd ${message}`));
    });
}

async function labAt(path: string): Promise<LabDir> {
  const { basename, dirname } = await import('node:path');
  const { LabDir } = await import('../lab/lab-dir.ts');
  return new LabDir(basename(path), dirname(path));
}
