/** The oldest and the newest kubectl that are here; all of them in the slow suite. */
import t from 'tap';
import { findKubectls } from './kubectl.ts';
import { tryKubectls } from './kubectl-session.ts';

const all = findKubectls();
const versions = all.filter(({ name }) => name !== 'kubectl');
const kubectls = versions.length > 1 ? versions.filter((_, i) => i === 0 || i === versions.length - 1) : all;

t.test('kubectl', { skip: kubectls.length === 0 && 'no kubectl is on this machine', timeout: 115_000 }, (t) =>
  tryKubectls(t, kubectls),
);
