/** The words of `weft get`, `apply`, `delete` and `logs`, which are kubectl's; what they do is imported when called. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { integer } from './numbers.ts';

const MOST_LINES = 1_000_000_000;
const MOST_SECONDS = 24 * 3600;

export function addClusterCommands(program: Command): void {
  addGet(program);
  addApply(program);
  addDelete(program);
  addLogs(program);
}

/** Which cluster, and where in it. */
export function withCluster(command: Command): Command {
  return command
    .option('-n, --namespace <name>', "where objects stand (default: the kubeconfig's, else default)")
    .option('--kubeconfig <path>', 'which cluster (default: KUBECONFIG, else the only lab that is up)')
    .option('--context <name>', 'of the kubeconfig, another than its current one')
    .option('--lab <name>', 'the cluster of this lab');
}

function addGet(program: Command): void {
  withCluster(
    program
      .command('get')
      .description('objects of a cluster, as a table or whole')
      .argument('<kind>', 'pods, po, svc,deploy, all, pod/NAME …')
      .argument('[names...]', 'which of them'),
  )
    .option('-A, --all-namespaces', 'those of all namespaces')
    .option('-l, --selector <labels>', 'those with these labels, as in app=web,tier!=back')
    .option('--field-selector <fields>', 'those with these fields, as in spec.nodeName=hosta')
    .addOption(new Option('-o, --output <format>', 'how to print them').choices(['wide', 'yaml', 'json', 'name']))
    .option('-w, --watch', 'go on with what changes')
    .option('--ignore-not-found', 'what is not there is no error')
    .option('--no-headers', 'rows alone')
    .addHelpText(
      'after',
      '\nExamples:\n  weft get pods -o wide\n  weft get deploy,svc -A\n  weft get pod web-0 -o yaml\n  weft get pods -l app=web -w',
    )
    .action(async (kind: string, names: string[], options) => {
      process.exitCode = await (await import('./get-action.ts')).get([kind, ...names], options);
    });
}

function addApply(program: Command): void {
  withCluster(
    program
      .command('apply')
      .description('make objects, or change them to what their manifests say')
      .requiredOption('-f, --filename <path...>', 'manifests, files or folders; - is standard input'),
  )
    .addOption(new Option('--dry-run <how>', 'only say what it would do').choices(['none', 'server']).default('none'))
    .addHelpText(
      'after',
      '\nExamples:\n  weft apply -f app.yaml\n  weft apply -f manifests/ -n shop\n  cat app.yaml | weft apply -f -',
    )
    .action(async (options) => {
      process.exitCode = await (await import('./apply-action.ts')).apply(options);
    });
}

function addDelete(program: Command): void {
  withCluster(
    program
      .command('delete')
      .description('delete objects by their manifests, by name or by label; returns when they are gone')
      .argument('[kind]', 'pods, svc,deploy, pod/NAME …')
      .argument('[names...]', 'which of them'),
  )
    .option('-f, --filename <path...>', 'manifests, files or folders; - is standard input')
    .option('-l, --selector <labels>', 'those with these labels')
    .option('--all', 'all of the kind')
    .option('--grace-period <seconds>', 'what pods get to end', integer(0, MOST_SECONDS))
    .option('--force', 'at once, whatever still runs')
    .addOption(
      new Option('--cascade <how>', 'what becomes of what belongs to them')
        .choices(['background', 'foreground', 'orphan'])
        .default('background'),
    )
    .option('--ignore-not-found', 'what is not there is no error')
    .option('--no-wait', 'return at once')
    .option('--timeout <seconds>', 'wait no longer', integer(1, MOST_SECONDS), 120)
    .addHelpText(
      'after',
      '\nExamples:\n  weft delete -f app.yaml\n  weft delete pod web-0 --grace-period 1\n  weft delete deploy,svc -l app=web',
    )
    .action(async (kind: string | undefined, names: string[], options) => {
      const words = kind === undefined ? [] : [kind, ...names];
      process.exitCode = await (await import('./delete-action.ts')).deleteObjects(words, options);
    });
}

function addLogs(program: Command): void {
  withCluster(program.command('logs').description('what a container of a pod said').argument('<pod>', 'POD or pod/POD'))
    .option('-c, --container <name>', 'which, where the pod has several')
    .option('-f, --follow', 'go on as it grows')
    .option('--tail <lines>', 'only the last lines', integer(0, MOST_LINES))
    .option('--since <time>', 'only what is younger, as in 90s, 5m, 2h', duration)
    .option('-p, --previous', "of the container's last life")
    .option('--timestamps', 'when each line was said')
    .addHelpText(
      'after',
      '\nExamples:\n  weft logs web-0\n  weft logs web-0 -f --tail 20\n  weft logs web-0 -c side -p',
    )
    .action(async (pod: string, options) => (await import('./logs-action.ts')).logs(pod, options));
}

function duration(text: string): number {
  const [, hours = '0', minutes = '0', seconds = '0'] = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/.exec(text) ?? [];
  const total = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
  if (total > 0) return total;
  throw new InvalidArgumentError('it must be a time, as in 90s, 5m or 1h30m.');
}
