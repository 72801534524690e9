/** How a lab's API server is told of its etcd. */
import t from 'tap';
import { apiServerArguments, apiServerEnvironment } from '../../src/lab/lab-api-server.ts';
import { LabDir } from '../../src/lab/lab-dir.ts';
import { type LabApi, resolveTopology } from '../../src/lab/topology.ts';

const etcdOf = (api: LabApi) => {
  const topology = { ...resolveTopology({}).topology, api };
  const words = apiServerArguments(new LabDir('a', '/labs'), topology, []);
  return { words: words.slice(words.indexOf('--store')), environment: apiServerEnvironment(topology) };
};

t.test("the lab's own is reached directly, whatever proxy the machine has", (t) => {
  const { words, environment } = etcdOf({ store: 'etcd', outerPort: 1 });
  t.same(words.slice(0, 4), ['--store', 'etcd', '--etcd-servers', 'http://127.0.0.1:2379']);
  t.same(environment, { no_grpc_proxy: '127.0.0.1' });
  t.end();
});

t.test('one that was there before is reached by the tunnel, whatever is to be spared a proxy', (t) => {
  const servers = ['https://a:2379', 'https://b:2379'];
  const { words, environment } = etcdOf({
    store: 'etcd',
    outerPort: 1,
    etcd: { servers, prefix: '/weft/a', files: ['cafile', 'keyfile'] },
  });
  t.same(words.slice(0, 10), [
    ...['--store', 'etcd', '--etcd-servers', 'https://a:2379,https://b:2379', '--etcd-prefix', '/weft/a'],
    ...['--etcd-cafile', '/labs/a/etcd/cafile.pem', '--etcd-keyfile', '/labs/a/etcd/keyfile.pem'],
  ]);
  t.match(environment, { grpc_proxy: 'http://127.0.0.1:2379', no_grpc_proxy: '', no_proxy: '' });
  t.end();
});
