/** The words for an etcd that is there already, which are those of kube-apiserver; etcd-access.ts reads what they name. */
import { type Command, InvalidArgumentError } from 'commander';

export interface EtcdOptions {
  store: 'lmdb' | 'etcd';
  etcdServers?: string[];
  etcdPrefix?: string;
  etcdCafile?: string;
  etcdCertfile?: string;
  etcdKeyfile?: string;
}

const PREFIX = /^(\/[\w.:@-]+)+$/;
const MAX_PREFIX_LENGTH = 200;

/** `prefix`: what there is without --etcd-prefix, in words. */
export function addEtcdOptions(command: Command, prefix: string): Command {
  return command
    .option(
      '--etcd-servers <urls...>',
      'members of an etcd cluster, as in https://10.0.0.1:2379,https://10.0.0.2:2379',
      members,
    )
    .option('--etcd-prefix <path>', `where our keys stand in it (default: ${prefix})`, keyPrefix)
    .option('--etcd-cafile <path>', "authority of the members' certificates (PEM)")
    .option('--etcd-certfile <path>', 'certificate that etcd knows us by (PEM)')
    .option('--etcd-keyfile <path>', 'its key (PEM)');
}

/** With their ports: gRPC has another default than http. */
function members(text: string, earlier: readonly string[] = []): string[] {
  const urls = text.split(',').map((each) => {
    const url = URL.canParse(each) ? new URL(each) : undefined;
    // Nothing but scheme, host and port.
    if (!url || !/^https?:$/.test(url.protocol) || url.href !== `${url.origin}/`) {
      throw new InvalidArgumentError(`${each} is no member of an etcd cluster, as in https://10.0.0.1:2379.`);
    }
    return `${url.protocol}//${url.hostname}:${url.port || (url.protocol === 'https:' ? '443' : '80')}`;
  });
  return [...new Set([...earlier, ...urls])];
}

function keyPrefix(text: string): string {
  if (PREFIX.test(text) && text.length <= MAX_PREFIX_LENGTH) return text;
  throw new InvalidArgumentError('it must be a path such as /registry, without a slash at its end.');
}
