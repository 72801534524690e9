/** Kubeconfigs as kubectl, cloud tools and people write them, and what is said of those that cannot be used. */
import { join } from 'node:path';
import t from 'tap';
import { stringify } from 'yaml';
import { parseKubeconfig, readKubeconfig } from '../../src/kube/kubeconfig.ts';

const PEM = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
const base64 = Buffer.from(PEM).toString('base64');

interface Parts {
  cluster?: object;
  user?: object;
  context?: object;
  more?: object;
}

function config({ cluster = {}, user = {}, context = {}, more = {} }: Parts): string {
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster: { server: 'https://10.0.0.1:6443/', ...cluster } }],
    users: [{ name: 'u', user }],
    contexts: [
      { name: 'x', context: { cluster: 'c', user: 'u', ...context } },
      { name: 'y', context: { cluster: 'none', user: 'u' } },
    ],
    'current-context': 'x',
    ...more,
  });
}

t.test('certificates inline, and a namespace', async (t) => {
  const user = { 'client-certificate-data': base64, 'client-key-data': base64 };
  const text = config({ cluster: { 'certificate-authority-data': base64 }, user, context: { namespace: 'shop' } });
  t.match(parseKubeconfig(text, 'kc'), {
    server: 'https://10.0.0.1:6443',
    authority: PEM,
    certificate: PEM,
    key: PEM,
    token: undefined,
    namespace: 'shop',
    insecure: false,
  });
});

t.test('files are found from its own folder on', async (t) => {
  const folder = t.testdir({ pki: { 'ca.crt': PEM, 'ca.der': '\x30\x82' }, token: 'secret\n' });
  const path = join(folder, 'config');
  const text = config({ cluster: { 'certificate-authority': 'pki/ca.crt' }, user: { tokenFile: 'token' } });
  t.match(parseKubeconfig(text, path), { authority: PEM, tokenFile: join(folder, 'token') });
  const binary = config({ cluster: { 'certificate-authority': 'pki/ca.der' } });
  t.throws(() => parseKubeconfig(binary, path), { message: /certificate-authority: .*ca\.der holds no PEM/ });
});

t.test('another context than the current one', async (t) => {
  t.throws(() => parseKubeconfig(config({}), 'kc', 'y'), { message: 'kc: clusters: none is called none' });
});

t.test('what cannot be used is named with file and field', async (t) => {
  const wrong: [string, string][] = [
    [': {', 'kc: cannot be read as YAML'],
    ['just text', 'kc: is no kubeconfig'],
    [config({ more: { 'current-context': '' } }), 'kc: current-context: is missing'],
    [config({ more: { 'current-context': 'z' } }), 'kc: contexts: none is called z'],
    [config({ more: { users: null } }), 'kc: users: none is called u'],
    [config({ cluster: { server: 'ftp://a' } }), 'kc: clusters[c].cluster.server: must be an http or https address'],
    [config({ cluster: { server: 7 } }), 'kc: clusters[c].cluster.server: must be a string'],
    [config({ cluster: { 'proxy-url': 'http://p' } }), 'kc: clusters[c].cluster.proxy-url: is not supported'],
    [config({ user: { exec: { command: 'aws' } } }), 'kc: users[u].user.exec: is not supported'],
    [config({ user: { as: 'jane' } }), 'kc: users[u].user.as: is not supported'],
    [config({ user: { tokenFile: 'gone' } }), 'kc: users[u].user.tokenFile: gone cannot be read: ENOENT'],
    [config({ user: { 'client-key-data': base64 } }), 'kc: users[u].user.client-certificate: is missing'],
    [config({ user: { 'client-certificate-data': 'AAAA' } }), 'kc: users[u].user.client-certificate-data: must be PEM'],
    [
      config({ user: { 'client-certificate': 'gone.crt' } }),
      'kc: users[u].user.client-certificate: gone.crt cannot be',
    ],
  ];
  for (const [text, message] of wrong) {
    t.throws(() => parseKubeconfig(text, 'kc'), {
      code: 'WEFT_KUBECONFIG',
      message: new RegExp(`^${literal(message)}`),
    });
  }
  t.throws(() => readKubeconfig('/nowhere/config'), { message: '/nowhere/config: cannot be read: ENOENT' });
});

function literal(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
