/** The words of `weft apiserver`; what it does is imported when called. */
import { type Command, Option } from 'commander';
import type { ApiServerOptions } from './apiserver-action.ts';
import { addEtcdOptions } from './etcd-options.ts';
import type { KubeconfigOptions } from './kubeconfig-action.ts';
import { integer } from './numbers.ts';

const DATA = '/var/lib/weft/apiserver';

export function addApiServer(program: Command): void {
  const command = program
    .command('apiserver')
    .description('a Kubernetes API that kubectl drives, kept in a folder or in etcd')
    .option('--data <path>', 'folder of its certificates, and of its objects with --store lmdb', DATA)
    .addOption(new Option('--store <kind>', 'where objects are kept').choices(['lmdb', 'etcd']).default('lmdb'));
  addEtcdOptions(command, '/registry')
    .option('--bind <address>', 'address to listen on', '127.0.0.1')
    .option('--port <port>', 'port to listen on; 0: any that is free', integer(0, 65535), 6443)
    .option(
      '--name <names...>',
      'names and addresses that clients know this server by, beside the one it listens on',
      [],
    )
    .option('--advertise-address <ip>', 'where pods reach this server (default: what it listens on)')
    .option(
      '--cluster-cidr <prefixes>',
      'addresses of pods, a range of each family (default: 10.244.0.0/16,fd00:10:244::/56)',
    )
    .option('--service-cidr <prefixes>', 'addresses of services, likewise (default: 10.96.0.0/16,fd00:10:96::/112)')
    .option('--cluster-dns <ips>', 'given to no service that does not ask (default: 10.96.0.10,fd00:10:96::a)')
    .addOption(
      new Option('--service-node-port-range <ports>', 'node ports of services (default: 30000-32767)').env(
        'WEFT_SERVICE_NODE_PORT_RANGE',
      ),
    )
    .option('--node-cidr-mask-size <bits>', "length of a node's part of the pods' addresses", integer(8, 30), 24)
    .option('--node-cidr-mask-size-ipv6 <bits>', 'likewise of its IPv6 addresses', integer(16, 126), 64)
    .option(
      '--node-monitor-grace-period <seconds>',
      'nodes that have not renewed their Lease for so long are Unknown',
      integer(2, 3600),
      4,
    )
    .addOption(
      new Option('--load-balancer-pool <ranges>', 'addresses for LoadBalancer services, as in 192.0.2.0/24').env(
        'WEFT_LOAD_BALANCER_POOL',
      ),
    )
    .option(
      '--manifests <path...>',
      'files and folders whose objects are applied; watched, and deleted with their manifests',
      [],
    )
    .addOption(
      new Option('--listen-fd <number>', 'a listening socket that we were started with')
        .argParser(integer(3, 1024))
        .hideHelp(),
    )
    .option(
      '--token-file <path>',
      'bearer tokens, a line each: token,user,uid,"group1,group2"; read again when it changes',
    )
    .option(
      '--max-requests-per-second <count>',
      'of one user; more are told to come again',
      integer(1, 1_000_000),
      2000,
    )
    .option('--plain-http', 'no TLS and no questions who asks: on loopback alone')
    .addHelpText(
      'after',
      '\nWrites DATA/admin.kubeconfig and DATA/viewer.kubeconfig, which only their owner can read.\n\nExamples:\n  weft apiserver --data /tmp/cluster\n  kubectl --kubeconfig /tmp/cluster/admin.kubeconfig get all -A\n  weft apiserver --store etcd --etcd-servers http://10.0.0.1:2379,http://10.0.0.2:2379',
    )
    .action(async (options: ApiServerOptions) => (await import('./apiserver-action.ts')).apiServer(options));
}

export function addKubeconfig(program: Command): void {
  program
    .command('kubeconfig')
    .description("print a kubeconfig for a node or a user, signed by an API server's authority")
    .option('--data <path>', "the API server's folder", DATA)
    .addOption(new Option('--node <name>', 'for the agent of this node').conflicts(['user', 'group']))
    .option('--user <name>', 'for this user')
    .option('--group <names...>', "the user's groups: system:masters does everything, weft:viewers reads", [])
    .option('--server <url>', "the server's address, where it is not the one that it listens on")
    .addHelpText(
      'after',
      '\nNeither --node nor --user: the administrator.\n\nExamples:\n  weft kubeconfig --data /tmp/cluster --node hosta > hosta.kubeconfig\n  weft kubeconfig --data /tmp/cluster --user jane --group weft:viewers\n  weft kubeconfig --server https://10.0.0.1:6443',
    )
    .action(async (options: KubeconfigOptions) => {
      console.log((await (await import('./kubeconfig-action.ts')).printedKubeconfig(options)).trimEnd());
    });
}
