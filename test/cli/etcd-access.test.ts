/** How commands name an etcd that is there already: what is refused, and what the store is told. */
import { join } from 'node:path';
import { Command } from 'commander';
import t, { type Test } from 'tap';
import { Authority } from '../../src/apiserver/access/authority.ts';
import { etcdAccess } from '../../src/cli/etcd-access.ts';
import { addEtcdOptions, type EtcdOptions } from '../../src/cli/etcd-options.ts';

function access(words: string, store: 'lmdb' | 'etcd' = 'etcd') {
  const command = addEtcdOptions(new Command().exitOverride().configureOutput({ writeErr: () => {} }), '/registry');
  const given = words.split(' ').filter((word) => word !== '');
  return etcdAccess({ store, ...command.parse(given, { from: 'user' }).opts<Omit<EtcdOptions, 'store'>>() });
}

async function certificates(t: Test): Promise<{ ca: string; cert: string; key: string }> {
  const authority = await Authority.open(t.testdir());
  const { certificate, key } = await authority.client('weft', []);
  const folder = t.testdir({ 'ca.pem': authority.certificate, 'cert.pem': certificate, 'key.pem': key });
  return { ca: join(folder, 'ca.pem'), cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
}

t.test('members, by commas and spaces, each once, with the port that is meant', (t) => {
  t.equal(access(''), undefined);
  t.same(access('--etcd-servers http://10.0.0.1:2379,http://b:2379 http://[::1]:2379/ http://b:2379'), {
    endpoints: ['http://10.0.0.1:2379', 'http://b:2379', 'http://[::1]:2379'],
  });
  t.same(access('--etcd-servers https://etcd.example --etcd-prefix /weft/a'), {
    endpoints: ['https://etcd.example:443'],
    prefix: '/weft/a',
  });
  for (const url of [
    '10.0.0.1:2379',
    'ftp://a:1',
    'http://a:1/path',
    'http://u:p@a:1',
    'http://a:1?x',
    'http://a:99999',
  ]) {
    t.throws(() => access(`--etcd-servers ${url}`), { message: /is no member of an etcd cluster, as in/ }, url);
  }
  for (const prefix of ['weft', '/', '/weft/', '/we ft', '//a', `/${'a'.repeat(200)}`]) {
    t.throws(() => access(`--etcd-servers http://a:1 --etcd-prefix=${prefix}`), prefix);
  }
  t.end();
});

t.test('certificates', async (t) => {
  const { ca, cert, key } = await certificates(t);
  const all = `--etcd-servers https://a:2379 --etcd-cafile ${ca} --etcd-certfile ${cert} --etcd-keyfile ${key}`;
  const { tls } = access(all) ?? {};
  t.match(`${tls?.ca}`, /BEGIN CERTIFICATE/);
  t.match(`${tls?.certificate}`, /BEGIN CERTIFICATE/);
  t.match(`${tls?.key}`, /BEGIN PRIVATE KEY/);
  t.throws(() => access(all.replace('https', 'http')), { message: /are for https/ });
  t.throws(() => access(all.replace(' https', ' http://b:1,https')), { message: /https for all members or for none/ });
  t.throws(() => access(all.replace(/--etcd-keyfile .*/, '')), { message: /go together/ });
  t.throws(() => access(all.replace(ca, `${ca}.not`)), { message: /^--etcd-cafile .*\.not cannot be read: ENOENT$/ });
  t.throws(() => access(all.replace(key, cert)), { message: /^--etcd-cafile, --etcd-certfile, --etcd-keyfile: / });
});

t.test('what goes with what', (t) => {
  t.throws(() => access('--etcd-servers http://a:1', 'lmdb'), { message: /goes with --store etcd/ });
  t.throws(() => access('--etcd-prefix /a'), { message: /name its --etcd-servers/ });
  t.end();
});
