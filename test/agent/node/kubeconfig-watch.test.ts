/** A kubeconfig that is renewed while its agent runs, by halves too, and certificates that end. */
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { KubeconfigWatch, usableAccess } from '../../../src/agent/node/kubeconfig-watch.ts';
import { Authority, type Certified } from '../../../src/apiserver/access/authority.ts';
import { kubeconfig } from '../../../src/apiserver/access/kubeconfig.ts';
import type { ApiAccess } from '../../../src/kube/kubeconfig.ts';

const SERVER = 'https://10.0.0.1:6443';
const DAY_MS = 24 * 3600 * 1000;

interface Place {
  path: string;
  authority: Authority;
  write(credentials: Certified, server?: string): void;
}

async function place(t: Test): Promise<Place> {
  const folder = t.testdir();
  const path = join(folder, 'kubeconfig');
  const authority = await Authority.open(join(folder, 'pki'));
  const write = (credentials: Certified, server = SERVER) => {
    const text = kubeconfig({ server, user: 'system:node:a', authority: authority.certificate, credentials });
    writeFileSync(`${path}.next`, text);
    renameSync(`${path}.next`, path);
  };
  return { path, authority, write };
}

t.test('what was renewed is shown; what is no pair, or another server, is not', async (t) => {
  const { path, authority, write } = await place(t);
  const [first, second] = [await authority.node('a'), await authority.node('a')];
  write(first);
  const shown: ApiAccess[] = [];
  const watch = new KubeconfigWatch({ path, access: usableAccess(path), renewed: (access) => shown.push(access) });
  watch.look();
  t.strictSame(shown, []);
  write({ certificate: second.certificate, key: first.key });
  watch.look();
  t.match(watch.problems(), [/its certificates cannot be used: .*: what it said before stays in force$/]);
  writeFileSync(path, '{');
  watch.look();
  t.match(watch.problems(), [/cannot be read as YAML.*stays in force$/]);
  write(second, 'https://10.0.0.2:6443');
  watch.look();
  t.match(watch.problems(), [/names https:\/\/10.0.0.2:6443 now: start the agent again/]);
  t.strictSame(shown, []);
  write(second);
  watch.look();
  watch.look();
  t.strictSame(
    shown.map(({ certificate }) => certificate),
    [second.certificate],
  );
  t.strictSame(watch.problems(), []);
});

t.test('a certificate that ends is a problem in the last tenth of its life', async (t) => {
  const { path, authority, write } = await place(t);
  write(await authority.node('a'));
  let nowMs = Date.now() + 300 * DAY_MS;
  const watch = new KubeconfigWatch({ path, access: usableAccess(path), renewed: () => {}, now: () => nowMs });
  t.strictSame(watch.problems(), []);
  nowMs += 50 * DAY_MS;
  t.match(watch.problems(), [/kubeconfig: its client certificate ends at \d{4}-.*Z: write one with another/]);
  nowMs += 50 * DAY_MS;
  t.match(watch.problems(), [/its client certificate ended at/]);
});

t.test('at the start it has to be good', async (t) => {
  const { path, authority, write } = await place(t);
  write({ ...(await authority.node('a')), key: (await authority.node('b')).key });
  t.throws(() => usableAccess(path), { code: 'WEFT_KUBECONFIG', message: /certificates cannot be used/ });
});
