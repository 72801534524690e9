/** The words of `weft agent`, `status`, `exec`, `ping` and `doctor`; what they do is imported when called. */
import { type Command, Option } from 'commander';
import { withCluster } from './cluster-commands.ts';
import type { ExecOptions } from './exec.ts';
import { integer, port } from './numbers.ts';

export function addAgentCommands(program: Command): void {
  addAgent(program);
  program
    .command('status')
    .description("what this host's agent says of itself: pods, peers, drops, what is wrong")
    .addOption(socketOption())
    .addOption(new Option('-o, --output <format>', 'how to print it').choices(['table', 'json']).default('table'))
    .addHelpText('after', '\nExamples:\n  weft status\n  weft status -o json --socket /run/weft/hosta/agent.sock')
    .action(async (options) => (await import('./agent-actions.ts')).status(options));
  withCluster(
    program
      .command('exec')
      .description('run a command in a pod, of this host or of a cluster; a shell where none is given')
      .argument('<target>', 'POD or namespace/POD')
      .argument('[command...]', 'the command, after --')
      .addOption(socketOption()),
  )
    .option('-c, --container <name>', 'which, where the pod has several')
    .option('-i, --stdin', 'the command reads our standard input: it always does')
    .option('-t, --tty', 'the command has a terminal: it has one where we have one')
    .passThroughOptions()
    .addHelpText(
      'after',
      `
Asks the agent of this host where one runs, else the API server.
Exits with the command's exit code.

Examples:
  weft exec client-0 -- curl -s http://web/hostname
  weft exec default/web-0
  weft exec web-0 --lab default -- hostname`,
    )
    .action(async (target: string, command: string[], options: ExecOptions) => {
      process.exitCode = await (await import('./exec.ts')).exec(target, command, options);
    });
  program
    .command('ping')
    .description('probe another host from this one: reachable, round trip, path MTU, by the underlay and the overlay')
    .argument('[host]', 'name of a Node or its address; every peer where none is given')
    .addOption(socketOption())
    .addOption(new Option('-o, --output <format>', 'how to print it').choices(['table', 'json']).default('table'))
    .addHelpText('after', '\nExamples:\n  weft ping hostb\n  weft lab exec hosta -- weft ping hostb')
    .action(async (host: string | undefined, options) => {
      process.exitCode = await (await import('./agent-actions.ts')).ping(host, options);
    });
  program
    .command('doctor')
    .description('check this host, and its agent where one runs: each thing that is wrong with what to do')
    .addOption(socketOption())
    .addOption(new Option('-o, --output <format>', 'how to print it').choices(['table', 'json']).default('table'))
    .addHelpText('after', '\nExamples:\n  weft doctor\n  weft lab exec hosta -- weft doctor')
    .action(async (options) => {
      process.exitCode = await (await import('./agent-actions.ts')).doctor(options);
    });
}

function addAgent(program: Command): void {
  program
    .command('agent')
    .description("one host's process: its pods, its part of the network, its DNS server")
    .option('--node <name>', "the Node object that this host is (default: the host's name)")
    .option('--manifests <path...>', 'Kubernetes manifests, files or folders; watched')
    .option('--kubeconfig <file>', 'follow this Kubernetes API instead of manifests')
    .option('--no-pods', "leave this node's pods to another runtime; with --kubeconfig")
    .option(
      '--node-ip <addresses...>',
      "the Node's InternalIPs in the API (default: those it has, else this host's on the way to the API server)",
    )
    .option(
      '--node-port <port>',
      'where kubectl logs, exec and port-forward reach this host; 0: nowhere; with --kubeconfig',
      integer(0, 65535),
      10_250,
    )
    .addOption(new Option('--backend <name>', 'how packets cross').choices(['vxlan', 'host-gw']).default('vxlan'))
    .option('--vni <number>', 'VXLAN network identifier', integer(0, 0xffffff), 1)
    .option('--port <port>', "the overlay's UDP port (flannel's is 8472)", port, 4789)
    .option(
      '--cluster-cidr <prefixes>',
      'addresses of all pods, a range of each family (default: 10.244.0.0/16,fd00:10:244::/56)',
    )
    .option('--service-cidr <prefixes>', 'addresses of services, likewise (default: 10.96.0.0/16,fd00:10:96::/112)')
    .option('--cluster-dns <ips>', 'addresses of the DNS server, likewise (default: 10.96.0.10,fd00:10:96::a)')
    .option('--cluster-domain <name>', 'domain of the cluster', 'cluster.local')
    .option('--mtu <bytes>', "of pods (default: the underlay's less 50)", integer(576, 65535))
    .addOption(
      new Option('--offload <mode>', 'how packets reach the underlay')
        .choices(['auto', 'tunnel-gso', 'udp-gso', 'batched'])
        .default('auto'),
    )
    .option('--state-dir <path>', 'what outlives the agent (default: /run/weft/NODE)')
    .option('--socket <path>', 'status socket (default: STATE-DIR/agent.sock)')
    .option('--max-flows <count>', 'most flows that are tracked at once', integer(1024, 2 ** 24))
    .addOption(
      new Option('--workers <count>', 'threads that carry packets (default: half of the processors, 1 to 4)')
        .argParser(integer(1, 16))
        .env('WEFT_WORKERS'),
    )
    .option(
      '--busy-poll <microseconds>',
      'after traffic look for more for so long before sleeping (default: 200)',
      integer(0, 10_000),
    )
    .addOption(
      new Option('--proxy-mode <mode>', 'of services: failover, userspace, iptables, ipvs[:SCHEDULER]')
        .default('failover')
        .env('WEFT_PROXY_MODE'),
    )
    .option('--ipvs-scheduler <name>', 'of mode ipvs: rr, wrr, lc, wlc, sh, dh, sed, nq, mh (default: rr)')
    .addOption(
      new Option(
        '--service-node-port-range <first-last>',
        'where node ports come from (default: 30000-32767); the same on all hosts',
      ).env('WEFT_SERVICE_NODE_PORT_RANGE'),
    )
    .addOption(
      new Option(
        '--load-balancer-pool <addresses>',
        'CIDRs and ranges, with commas, for LoadBalancer services; the same on all hosts',
      ).env('WEFT_LOAD_BALANCER_POOL'),
    )
    .option('--proxy-port-range <first-last>', 'for services in userspace mode (default: any free port)')
    .option('--dns-stub <domain=servers...>', 'a domain with name servers of its own, separated by commas')
    .option('--dns-transfer <prefix...>', 'who may fetch whole DNS zones (default: nobody)')
    .addOption(
      new Option('--dns-log <count>', 'keep the last DNS questions for weft dns log')
        .argParser(integer(1, 100_000))
        .env('WEFT_DNS_LOG'),
    )
    .addOption(
      new Option('--dns-pods <mode>', 'names of pods: none, any address in a namespace, or those of pods that exist')
        .choices(['disabled', 'insecure', 'verified'])
        .default('verified'),
    )
    .option('--dns-ttl <seconds>', "how long the cluster's records may be believed", integer(0, 3600), 5)
    .option('--dns-cache <bytes>', 'room for answers of others; 0: none is kept', integer(0, 2 ** 30), 4 << 20)
    .option('--no-dns-offload', "answer every name by the server's socket, none in the dataplane")
    .option('--no-dns-autopath', "do not complete names along the asking pod's search path")
    .option('--images <file>', 'a map of image names to commands, before the built-in ones (docs/images.md)')
    .option('--keep-pods', 'on SIGTERM leave pods, devices and routes as they are')
    .addOption(
      new Option('--log-level <level>', 'what is worth a line')
        .choices(['debug', 'info', 'warn', 'error'])
        .default('info'),
    )
    .addOption(new Option('-o, --output <format>', 'how to log').choices(['plain', 'json']).default('plain'))
    .addHelpText(
      'after',
      '\nExamples:\n  weft agent --node hosta --manifests /etc/weft\n  weft agent --backend host-gw --manifests cluster.yaml\n  weft agent --node hosta --kubeconfig /etc/weft/hosta.kubeconfig',
    )
    .action(async (options) => (await import('./agent-actions.ts')).agent(options));
}

export function socketOption(): Option {
  return new Option('--socket <path>', "the agent's status socket (default: the only one in /run/weft)").env(
    'WEFT_SOCKET',
  );
}
